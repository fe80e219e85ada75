import { Suspense, use } from 'react';
import { session, started } from '../api/app-session.ts';
import { Button } from '../ui/button.tsx';
import { Loading } from '../ui/loading.tsx';
import { Page } from '../ui/page.tsx';

/** Until it is known whether there is a session: waits, and says so when the server does not answer. */
export function Starting() {
  return (
    <Suspense fallback={<Loading />}>
      <Unreachable />
    </Suspense>
  );
}

function Unreachable() {
  // If the session is still unknown after the start, the server could not be asked.
  use(started);
  return (
    <div className="flex animate-very-late flex-col items-start gap-6">
      <Page title="No connection">
        <TryingAgain problem="We cannot reach the server." />
      </Page>
    </div>
  );
}

/** Shown over a page that keeps what it has. Late, because the answer usually comes before anybody misses it. */
export function Reconnecting() {
  return (
    <div className="fixed inset-x-0 bottom-5 mx-auto max-w-xl animate-very-late px-5">
      <div className="flex flex-wrap items-center justify-between gap-4 rounded-2xl border border-edge bg-surface px-6 py-4 shadow-lg">
        {/* Not that the server cannot be reached: it may have answered, and refused even a fresh token. */}
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
