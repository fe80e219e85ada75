import type { PageEvent, SessionEnvironment } from '../session-environment.ts';

/** Lets everything that is ready run: an immediate comes after all microtasks. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Virtual time. Both clocks go on together, unless the machine sleeps or somebody sets the wall clock. */
export function fakeClock() {
  let wall = Date.UTC(2030, 0, 1);
  let monotonic = 1000;
  const timers = new Map<object, { due: number; run: () => void }>();

  const earliest = () => [...timers].toSorted(([, a], [, b]) => a.due - b.due)[0];

  return {
    now: () => wall,
    monotonic: () => monotonic,
    timers: () => timers.size,
    delays: () => [...timers.values()].map(({ due }) => due - monotonic).toSorted((a, b) => a - b),
    setTimer(run: () => void, ms: number) {
      const id = {};
      timers.set(id, { due: monotonic + Math.max(0, ms), run });
      return () => void timers.delete(id);
    },
    /** Fires what falls due in the next `ms`, in order, each with its consequences. */
    async advance(ms: number) {
      const end = monotonic + ms;
      await settled();
      for (let next = earliest(); next && next[1].due <= end; next = earliest()) {
        const [id, { due, run }] = next;
        timers.delete(id);
        wall += Math.max(0, due - monotonic);
        monotonic = Math.max(monotonic, due);
        run();
        await settled();
      }
      wall += end - monotonic;
      monotonic = end;
      await settled();
    },
    /** The machine is closed: only the wall clock goes on, and no timer fires. */
    sleep(ms: number) {
      wall += ms;
    },
    setWall(ms: number) {
      wall = ms;
    },
  };
}

const aborted = () => new DOMException('The request was aborted.', 'AbortError');

interface Waiting {
  hold: (lock: object) => Promise<void>;
  done: (error?: unknown) => void;
}

/** One browser: its tabs share locks, channels, storage and time. `defer` decides when a grant or a message arrives. */
export function fakeBrowser({ defer = async (_what: string): Promise<unknown> => undefined } = {}) {
  const clock = fakeClock();
  const stored = new Map<string, string>();
  const channels = new Set<{ name: string; receive: (message: unknown) => void; owner: object }>();
  const listeners = new Set<(event: PageEvent) => void>();
  const posted: unknown[] = [];
  let held: Waiting | undefined;
  let isHeld = false;
  let queue: Waiting[] = [];

  function grant() {
    if (held) return;
    const next = queue.shift();
    if (!next) return;
    held = next;
    void call(next);
  }

  async function call(granted: Waiting) {
    await defer('lock');
    // Stolen before it was told.
    if (held !== granted) return;
    isHeld = true;
    await granted.hold({});
    if (held !== granted) return;
    held = undefined;
    isHeld = false;
    granted.done();
    grant();
  }

  const locks: NonNullable<SessionEnvironment['locks']> = {
    request(_name, { signal, steal, ifAvailable }, hold) {
      if (ifAvailable === true && (held || queue.length > 0)) return hold(null);
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const waiting: Waiting = { hold, done: (error) => (error === undefined ? resolve(undefined) : reject(error)) };
      if (signal?.aborted) return Promise.reject(aborted());
      if (steal) {
        held?.done(aborted());
        held = undefined;
        queue.unshift(waiting);
      } else queue.push(waiting);
      signal?.addEventListener(
        'abort',
        () => {
          if (!queue.includes(waiting)) return;
          queue = queue.filter((other) => other !== waiting);
          reject(aborted());
        },
        { once: true },
      );
      grant();
      return promise;
    },
  };

  const storage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => void stored.delete(key),
  };

  async function deliver(channel: { receive: (message: unknown) => void; name: string; owner: object }, copy: unknown) {
    await defer('message');
    if (channels.has(channel)) channel.receive(copy);
  }

  function tab(overrides: Partial<SessionEnvironment> = {}) {
    const owner = {};
    const own = new Set<(event: PageEvent) => void>();
    const page = { visible: true, online: true };
    const environment: SessionEnvironment = {
      now: clock.now,
      monotonic: clock.monotonic,
      // Makes the jitter nothing and the backoff the half of what it may be.
      random: () => 0,
      setTimer: clock.setTimer,
      locks,
      storage,
      openChannel(name, receive) {
        const channel = { name, receive, owner };
        channels.add(channel);
        return {
          post(message) {
            const copy: unknown = structuredClone(message);
            posted.push(copy);
            for (const other of channels) {
              if (other.name !== name || other.owner === owner) continue;
              void deliver(other, copy);
            }
          },
          close: () => void channels.delete(channel),
        };
      },
      page: {
        visible: () => page.visible,
        online: () => page.online,
        listen(receive) {
          own.add(receive);
          listeners.add(receive);
          return () => {
            own.delete(receive);
            listeners.delete(receive);
          };
        },
      },
      ...overrides,
    };
    return {
      environment,
      page,
      fire(event: PageEvent) {
        for (const receive of new Set(own)) receive(event);
      },
      hide() {
        page.visible = false;
      },
      show() {
        page.visible = true;
        for (const receive of new Set(own)) receive('wake');
      },
    };
  }

  return {
    clock,
    tab,
    locks,
    storage,
    stored,
    posted,
    marker: (name = 'latchkey') => JSON.parse(stored.get(`${name}.marker`) ?? 'null') as Record<string, unknown> | null,
    isLocked: () => isHeld,
    /** What would leak: everything that outlives an operation. */
    count: () => ({
      timers: clock.timers(),
      channels: channels.size,
      listeners: listeners.size,
      locks: queue.length + (held ? 1 : 0),
    }),
  };
}
