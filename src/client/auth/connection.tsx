import { Suspense, use } from 'react';
import { session, started } from '../api/app-session.ts';
import { Button } from '../ui/button.tsx';
import { Loading } from '../ui/loading.tsx';
import { Page } from '../ui/page.tsx';

export function Starting() {
  return (
    <Suspense fallback={<Loading />}>
      <Unreachable />
    </Suspense>
  );
}

function Unreachable() {
  // If the session is still unknown then, the server could not be reached.
  use(started);
  return (
    <div className="flex animate-very-late flex-col items-start gap-6">
      <Page title="No connection">
        <TryingAgain problem="We cannot reach the server." />
      </Page>
    </div>
  );
}

/** Overlays a page that keeps its content. Delayed, because the response usually arrives before anyone notices. */
export function Reconnecting() {
  return (
    <div className="fixed inset-x-0 bottom-5 mx-auto max-w-xl animate-very-late px-5">
      <div className="flex flex-wrap items-center justify-between gap-4 rounded-2xl border border-edge bg-surface px-6 py-4 shadow-lg">
        {/* Not "cannot reach the server": it may have responded, and refused even a fresh token. */}
        <TryingAgain problem="Having trouble connecting." />
      </div>
    </div>
  );
}

function TryingAgain({ problem }: { problem: string }) {
  return (
    <>
      <output>{problem} Trying again…</output>
      <Button kind="quiet" onClick={() => session.retry()}>
        Try again
      </Button>
    </>
  );
}
