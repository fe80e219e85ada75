import { session } from './app-session.ts';
import type { trpcClient } from './client.ts';

/** Before reopening a broken stream; doubles up to the maximum. */
const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Follows the session on the server: its end, and changes to the user. Only a visible tab holds the stream, because
 * over HTTP/1.1 all tabs of a browser share six connections per site. A hidden tab learns of a sign-out from the
 * visible one, and of everything else once it is visible.
 * @returns a function that stops listening
 */
export function listenToServer(): () => void {
  let followed: string | undefined;
  let controller = new AbortController();
  let isPutAway = false;

  function reconsider(): void {
    const { state } = session;
    const isShown = document.visibilityState === 'visible' && !isPutAway;
    const wanted = state.status === 'signed-in' && isShown ? state.session.id : undefined;
    if (wanted === followed) return;
    followed = wanted;
    controller.abort();
    controller = new AbortController();
    if (wanted !== undefined) void listen(controller.signal);
  }

  const listening = new AbortController();
  // An open stream keeps the page out of the back/forward cache.
  const onPage = ({ type }: Event) => {
    if (type !== 'visibilitychange') isPutAway = type === 'pagehide';
    reconsider();
  };
  for (const type of ['pagehide', 'pageshow']) addEventListener(type, onPage, { signal: listening.signal });
  document.addEventListener('visibilitychange', onPage, { signal: listening.signal });
  const unsubscribe = session.subscribe(reconsider);
  reconsider();

  return () => {
    listening.abort();
    unsubscribe();
    controller.abort();
  };
}

async function listen(signal: AbortSignal): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    // Guests need neither streams nor the client. A failed download is retried like a broken stream.
    const client = await import('./client.ts').catch(() => undefined);
    if (client && !signal.aborted && (await listenOnce(client.trpcClient, signal))) pauseMs = FIRST_PAUSE_MS;
    await pause(pauseMs * (1 + Math.random()), signal);
  }
}

function listenOnce(client: typeof trpcClient, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    let hasReceived = false;
    const done = () => {
      subscription.unsubscribe();
      signal.removeEventListener('abort', done);
      resolve(hasReceived);
    };
    const subscription = client.auth.sessionEvents.subscribe(
      {},
      {
        onData({ data }) {
          hasReceived = true;
          session.userChanged(data.user);
        },
        onError: done,
        onComplete: done,
      },
    );
    signal.addEventListener('abort', done);
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
