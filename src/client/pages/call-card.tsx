import { useState } from 'react';
import type { User } from '../../shared/auth.ts';
import { trpc } from '../api/client.ts';
import { Button } from '../ui/button.tsx';
import { Card } from '../ui/card.tsx';
import { errorMessage } from '../ui/error-message.ts';
import { describeChange } from './describe-change.ts';
import { timeOfDay } from './format.ts';
import { sample } from './session-monitor.ts';

interface Call {
  at: Date;
  tookMs: number;
  change: string | undefined;
  result: { kind: 'answer'; user: User } | { kind: 'error'; message: string };
}

/** Calls a protected procedure on demand, and shows whether that refreshed the session. */
export function CallCard() {
  const { client } = trpc.useUtils();
  const [call, setCall] = useState<Call>();
  const [busy, setBusy] = useState(false);

  // Bypasses the query cache, which would retry a failed call.
  const callServer = async () => {
    setBusy(true);
    const before = sample();
    const startedAt = performance.now();
    const result = await client.auth.me.query().then(
      (user): Call['result'] => ({ kind: 'answer', user }),
      (error: unknown): Call['result'] => ({ kind: 'error', message: errorMessage(error) }),
    );
    setCall({
      at: new Date(),
      tookMs: Math.round(performance.now() - startedAt),
      change: describeChange(before, sample()),
      result,
    });
    setBusy(false);
  };

  return (
    <Card heading="Call the server">
      <p className="mt-2 text-sm text-muted">
        <code className="text-ink">auth.me</code> is a protected procedure. If the access token has expired, the call
        waits for a new one and then goes through. The calling code never deals with tokens.
      </p>
      <div className="mt-5">
        <Button busy={busy} onClick={() => void callServer()}>
          Call auth.me
        </Button>
      </div>
      {/* Always rendered, so that screen readers announce what appears in it. */}
      <output className="mt-5 flex grow flex-col">
        {call ? (
          <Outcome {...call} />
        ) : (
          <span className="grid min-h-24 grow place-items-center rounded-lg border border-dashed border-line p-4 text-sm text-muted">
            The answer will appear here.
          </span>
        )}
      </output>
    </Card>
  );
}

function Outcome({ at, tookMs, change, result }: Call) {
  if (result.kind === 'error') return <p className="text-problem">{result.message}</p>;
  return (
    <>
      <p>
        Answered in <span className="tabular-nums">{tookMs} ms</span> at{' '}
        <time dateTime={at.toISOString()} className="tabular-nums">
          {timeOfDay(at)}
        </time>
        . {change ?? 'The access token was still good.'}
      </p>
      <pre className="mt-3 grow rounded-lg bg-paper px-4 py-3 text-sm whitespace-pre-wrap wrap-anywhere">
        {JSON.stringify(result.user, null, 2)}
      </pre>
    </>
  );
}
