import { useEffect, useRef, useState } from 'react';
import { EVENTS_PER_PAGE_MAX } from '../../shared/admin.ts';
import { trpcClient } from '../api/client.ts';
import { Button } from '../ui/button.tsx';
import { downloadFile } from '../ui/download.ts';
import { errorMessage } from '../ui/error-message.ts';
import type { AuditFilter } from './audit-filter.ts';
import { exportEvents } from './export-events.ts';

type State =
  | { kind: 'idle' | 'cancelled' }
  | { kind: 'running' | 'done'; count: number }
  | { kind: 'failed'; message: string };

/** Downloads all events that match, not only those shown. */
export function ExportButton({ filter }: { filter: AuditFilter }) {
  const [state, setState] = useState<State>({ kind: 'idle' });
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);

  const start = async () => {
    const { signal } = (running.current = new AbortController());
    setState({ kind: 'running', count: 0 });
    let total = 0;
    try {
      const parts = await exportEvents({
        read: (cursor) =>
          trpcClient.admin.audit.query(
            { ...filter, limit: EVENTS_PER_PAGE_MAX, ...(cursor !== undefined && { cursor }) },
            { signal },
          ),
        onProgress(count) {
          total = count;
          if (!signal.aborted) setState({ kind: 'running', count });
        },
      });
      if (signal.aborted) return;
      const today = new Date().toISOString().slice(0, 'yyyy-mm-dd'.length);
      downloadFile(`latchkey-audit-${today}.ndjson`, 'application/x-ndjson', parts);
      setState({ kind: 'done', count: total });
    } catch (error) {
      if (!signal.aborted) setState({ kind: 'failed', message: errorMessage(error) });
    }
  };
  const cancel = () => {
    running.current?.abort();
    setState({ kind: 'cancelled' });
  };

  return (
    <div className="flex flex-wrap items-center gap-x-5 gap-y-3">
      {/* One button, so that it keeps the focus. */}
      {state.kind === 'running' ? (
        <Button key="button" kind="quiet" onClick={cancel}>
          Cancel export
        </Button>
      ) : (
        <Button key="button" kind="quiet" onClick={() => void start()}>
          Export as NDJSON
        </Button>
      )}
      <output className={state.kind === 'failed' ? 'text-problem' : 'text-muted'}>{said(state)}</output>
    </div>
  );
}

const inWords = (count: number) => `${count.toLocaleString('en')} ${count === 1 ? 'event' : 'events'}`;

function said(state: State): string {
  switch (state.kind) {
    case 'idle':
      return '';
    case 'cancelled':
      return 'Cancelled. Nothing was downloaded.';
    case 'running':
      return state.count === 0 ? 'Reading…' : `${inWords(state.count)} so far…`;
    case 'done':
      return `Downloaded: ${inWords(state.count)}.`;
    case 'failed':
      return state.message;
  }
}
