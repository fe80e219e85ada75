import { session, trpcClient } from './client.ts';

/** The tab that holds it listens for all tabs of the browser: with HTTP/1.1 there are six connections for all of them. */
const LOCK = 'latchkey.events';
/** Before listening again after the stream could not be had; doubled each time, up to the longest. In milliseconds. */
const FIRST_WAIT = 2_000;
const LONGEST_WAIT = 60_000;

/**
 * Listens to what happens to the session on the server, while there is one. That it has ended reaches the session through
 * the link, and the other tabs through the session.
 * @returns how to stop
 */
export function followSession(): () => void {
  let followed: string | undefined;
  let controller = new AbortController();
  let hidden = false;

  function reconsider(): void {
    const { state } = session;
    const wanted = state.status === 'signed-in' && !hidden ? state.session.id : undefined;
    if (wanted === followed) return;
    followed = wanted;
    controller.abort();
    controller = new AbortController();
    if (wanted !== undefined) void inOneTab(controller.signal, listen);
  }

  // An open stream, or a lock, would keep the page out of the back-forward cache.
  const onHide = () => {
    hidden = true;
    reconsider();
  };
  const onShow = () => {
    hidden = false;
    reconsider();
  };
  addEventListener('pagehide', onHide);
  addEventListener('pageshow', onShow);
  const unsubscribe = session.subscribe(reconsider);
  reconsider();

  return () => {
    removeEventListener('pagehide', onHide);
    removeEventListener('pageshow', onShow);
    unsubscribe();
    controller.abort();
  };
}

/** Runs `task` in one tab of the browser at a time; where there are no locks, in each. */
async function inOneTab(signal: AbortSignal, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const locks = (navigator as { locks?: LockManager }).locks;
  if (locks === undefined) return task(signal);
  try {
    await locks.request(LOCK, { signal }, () => task(signal));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Settles when it is called off. */
async function listen(signal: AbortSignal): Promise<void> {
  for (let wait = FIRST_WAIT; !isAborted(signal); wait = Math.min(2 * wait, LONGEST_WAIT)) {
    const heard = await listenOnce(signal);
    if (heard) wait = FIRST_WAIT;
    if (!isAborted(signal)) await pause(wait * (1 + Math.random()), signal);
  }
}

// A function, because the compiler does not know that it changes.
const isAborted = (signal: AbortSignal) => signal.aborted;

/** @returns once the stream is over, whether anything had come */
function listenOnce(signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    let heard = false;
    const done = () => {
      subscription.unsubscribe();
      signal.removeEventListener('abort', done);
      resolve(heard);
    };
    const subscription = trpcClient.auth.sessionEvents.subscribe(
      {},
      {
        onData({ data }) {
          heard = true;
          session.userChanged(data.user);
        },
        // The link has already done about it what can be done.
        onError: done,
        onComplete: done,
      },
    );
    signal.addEventListener('abort', done);
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
