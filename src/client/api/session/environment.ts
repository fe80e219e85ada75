/** Everything the session takes from its surroundings, so that a test can replace it. `null`: not available, always allowed. */
export interface SessionEnvironment {
  /** Wall clock, in milliseconds: goes on while the machine sleeps, and jumps when somebody sets it. */
  now(): number;
  /** In milliseconds: never jumps, but may stop while the machine sleeps. */
  monotonic(): number;
  /** From 0 up to, not including, 1. */
  random(): number;
  /** Calls `run` once after `ms` milliseconds; returns a function that cancels it. `inBackground`: must not keep Node alive. */
  setTimer(run: () => void, ms: number, inBackground?: boolean): () => void;
  openChannel: ((name: string, receive: (message: unknown) => void) => TabChannel) | null;
  storage: MarkerStorage | null;
  /** Without a page nothing is done in the background: no timer, no retry that nobody waits for. */
  page: PageEvents | null;
  /** Loads a new document, at `url` or at the present address, because this one has belonged to somebody. */
  openDocument(url?: string): void;
}

export interface TabChannel {
  /** To every other tab, never to this one. */
  post(message: unknown): void;
  close(): void;
}

export type MarkerStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** `wake`: the page is looked at again. `hide` and `show`: it enters or leaves the back/forward cache. */
export type PageEvent = 'wake' | 'online' | 'hide' | 'show';

export interface PageEvents {
  visible(): boolean;
  online(): boolean;
  /** Returns a function that stops listening. */
  listen(receive: (event: PageEvent) => void): () => void;
}

/** setTimeout takes 32 bits; a longer delay fires at once (HTML, "timer initialization steps"). */
export const TIMER_MAX_MS = 2 ** 31 - 1;

/** The browser, or what there is of it. Without a document (Node, React Native) no channel, storage or page. Never throws. */
export function defaultEnvironment(): SessionEnvironment {
  const isPage = typeof document !== 'undefined';
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    random: () => Math.random(),
    setTimer(run, ms, inBackground) {
      const timer = setTimeout(run, Math.min(ms, TIMER_MAX_MS));
      if (inBackground) (timer as { unref?: () => void }).unref?.();
      return () => clearTimeout(timer);
    },
    // Node has a BroadcastChannel too, on which the sessions of different people in one process would meet.
    openChannel: isPage && typeof BroadcastChannel !== 'undefined' ? openBroadcastChannel : null,
    // Where cookies are blocked, the mere access throws a SecurityError.
    storage: isPage ? (quietly(() => globalThis.localStorage) ?? null) : null,
    page: isPage
      ? { visible: () => document.visibilityState !== 'hidden', online: () => navigator.onLine ?? true, listen }
      : null,
    openDocument(url) {
      if (!isPage) return;
      // assign() with the present address would only scroll if that has a fragment.
      if (url === undefined) location.reload();
      else location.assign(url);
    },
  };
}

function openBroadcastChannel(name: string, receive: (message: unknown) => void): TabChannel {
  const channel = new BroadcastChannel(name);
  channel.addEventListener('message', (event: MessageEvent<unknown>) => receive(event.data));
  return { post: channel.postMessage.bind(channel), close: () => channel.close() };
}

function listen(receive: (event: PageEvent) => void): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  // Only when it becomes visible: a page that leaves becomes hidden after `pagehide`, and would take up again what it let go of.
  const wake = () => document.visibilityState === 'visible' && receive('wake');
  document.addEventListener('visibilitychange', wake, { signal });
  // All that a frozen page hears if it is thawed while visible, and the first if it is thawed while hidden.
  document.addEventListener('resume', () => receive('wake'), { signal });
  window.addEventListener('online', () => receive('online'), { signal });
  window.addEventListener('pagehide', () => receive('hide'), { signal });
  window.addEventListener('pageshow', () => receive('show'), { signal });
  return () => controller.abort();
}

/**
 * Runs `work` and settles with it, or at once when `controller` is aborted, which happens after `ms` milliseconds at the
 * latest. It does not matter whether `work` heeds its signal.
 */
export function bounded<T>(
  environment: SessionEnvironment,
  controller: AbortController,
  ms: number,
  work: (o: { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const { signal } = controller;
  const timeout = new DOMException('The server took too long to answer.', 'TimeoutError');
  const cancelTimer = environment.setTimer(() => controller.abort(timeout), ms);
  const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  // Within an async function, so that what it throws is a rejection.
  return Promise.race([(async () => work({ signal }))(), aborted]).finally(cancelTimer);
}

/** Returns a function that tells the milliseconds since, by whichever clock says more: each misses something. */
export function stopwatch({ now, monotonic }: SessionEnvironment): () => number {
  const [wall, steady] = [now(), monotonic()];
  return () => Math.max(now() - wall, monotonic() - steady);
}

/** For what a browser may forbid, and what then is done without. */
export function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
