/** Everything the session takes from the browser, so that a test can take its place. `null`: not there, which is always allowed. */
export interface SessionEnvironment {
  /** Wall clock, in milliseconds: goes on while the machine sleeps, and jumps when somebody sets it. */
  now(): number;
  /** In milliseconds: never jumps, but may stand still while the machine sleeps. */
  monotonic(): number;
  /** From 0 up to, not including, 1. */
  random(): number;
  /**
   * Calls `run` once after `ms` milliseconds. Answers how to call it off. In the background nobody waits for it, so it is
   * no reason for Node to go on.
   */
  setTimer(run: () => void, ms: number, inBackground?: boolean): () => void;
  locks: TabLocks | null;
  openChannel: ((name: string, receive: (message: unknown) => void) => TabChannel) | null;
  storage: MarkerStorage | null;
  page: PageEvents;
}

/** The part of `navigator.locks` that is used. */
export interface TabLocks {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean; ifAvailable?: boolean },
    /** `lock` is null where one was asked for only if available, and is not. */
    hold: (lock: unknown) => Promise<void>,
  ): Promise<unknown>;
}

export interface TabChannel {
  /** To every other tab, never to this one. */
  post(message: unknown): void;
  close(): void;
}

export type MarkerStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** `wake`: the page is looked at again. `hide` and `show`: it leaves for, or comes back from, the back-forward cache. */
export type PageEvent = 'wake' | 'online' | 'hide' | 'show';

export interface PageEvents {
  visible(): boolean;
  online(): boolean;
  /** Answers how to stop listening. */
  listen(receive: (event: PageEvent) => void): () => void;
}

/** setTimeout takes 32 bits; more fires at once (HTML, timers: "timer initialization steps"). */
export const TIMER_MAX_MS = 2 ** 31 - 1;

/** The browser, or as much of it as there is: in Node no page and no storage. Nothing here throws. */
export function defaultEnvironment(): SessionEnvironment {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    random: () => Math.random(),
    setTimer(run, ms, inBackground) {
      const timer = setTimeout(run, Math.min(ms, TIMER_MAX_MS));
      if (inBackground) unref(timer);
      return () => clearTimeout(timer);
    },
    locks: quietly(() => globalThis.navigator.locks.request)
      ? { request: (name, options, hold) => globalThis.navigator.locks.request(name, options, hold) }
      : null,
    openChannel:
      typeof BroadcastChannel === 'undefined'
        ? null
        : (name, receive) => {
            const channel = new BroadcastChannel(name);
            unref(channel);
            channel.addEventListener('message', (event: MessageEvent<unknown>) => receive(event.data));
            return { post: channel.postMessage.bind(channel), close: () => channel.close() };
          },
    // Where cookies are blocked, merely naming it throws a SecurityError.
    storage: quietly(() => globalThis.localStorage) ?? null,
    page: {
      visible: () => globalThis.document?.visibilityState !== 'hidden',
      online: () => globalThis.navigator?.onLine ?? true,
      listen,
    },
  };
}

function listen(receive: (event: PageEvent) => void): () => void {
  const controller = new AbortController();
  const on = (target: EventTarget | undefined, type: string, event: PageEvent) =>
    target?.addEventListener?.(type, () => receive(event), { signal: controller.signal });
  const page = globalThis.document;
  page?.addEventListener?.(
    'visibilitychange',
    () => {
      // Not when it is hidden. A page that leaves is told so after `pagehide`, and would take up again what it has let go of.
      if (page.visibilityState === 'visible') receive('wake');
    },
    { signal: controller.signal },
  );
  // A frozen page that is thawed while in view tells nothing else.
  on(page, 'resume', 'wake');
  on(globalThis, 'online', 'online');
  on(globalThis, 'pagehide', 'hide');
  on(globalThis, 'pageshow', 'show');
  return () => controller.abort();
}

/** In Node, a timer or a channel would keep the process alive. */
function unref(handle: unknown): void {
  (handle as { unref?: () => void }).unref?.();
}

/**
 * Calls `late` after `ms` milliseconds, and `off` when `signal` is aborted.
 * @returns how to call both off
 */
export function watch(
  { setTimer }: SessionEnvironment,
  signal: AbortSignal,
  ms: number,
  late: () => void,
  off: () => void,
): () => void {
  const cancelTimer = setTimer(late, ms);
  signal.addEventListener('abort', off, { once: true });
  return () => {
    cancelTimer();
    signal.removeEventListener('abort', off);
  };
}

/**
 * Settles like `work`, or at once when `controller` is aborted; aborts it when the time is up. Whether `work` heeds its
 * signal does not matter.
 */
export function bounded<T>(
  environment: SessionEnvironment,
  controller: AbortController,
  ms: number,
  work: (o: { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const { signal } = controller;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const late = () => controller.abort(new DOMException('The server took too long.', 'TimeoutError'));
  const stop = watch(environment, signal, ms, late, () => reject(signal.reason));
  // Called in an async function, what it throws is a rejection, and what it answers may be no promise. Called off before
  // it began, as by a login that came while a logout waited for the lock, it must not begin.
  const call = async () => {
    signal.throwIfAborted();
    return work({ signal });
  };
  call().then(resolve, reject);
  return promise.finally(stop);
}

/**
 * The milliseconds since it was called, by whichever clock says more: each misses something.
 */
export function stopwatch({ now, monotonic }: SessionEnvironment): () => number {
  const [wall, steady] = [now(), monotonic()];
  return () => Math.max(now() - wall, monotonic() - steady);
}

/** For what a browser may forbid, and what is done without then. */
export function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
