import type { PageEvent } from '../session/environment.ts';
import type { SessionEnvironment } from '../session/index.ts';

/** An immediate runs after all microtasks. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Virtual time. Both clocks advance together, unless the machine sleeps or the wall clock is set. */
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
    /** Fires the timers due in the next `ms`, in order. */
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
    /** Only the wall clock advances, and no timer fires. */
    sleep(ms: number) {
      wall += ms;
    },
    setWall(ms: number) {
      wall = ms;
    },
  };
}

/** One browser, whose tabs share channels, storage and time. `defer` delays messages. */
export function fakeBrowser({ defer = async (_what: string): Promise<unknown> => undefined } = {}) {
  const clock = fakeClock();
  const stored = new Map<string, string>();
  const channels = new Set<{ name: string; receive: (message: unknown) => void; owner: object }>();
  const listeners = new Set<(event: PageEvent) => void>();
  /** Addresses of the documents that replaced that of a tab, in order; undefined for the same address. */
  const documents: (string | undefined)[] = [];
  const posted: unknown[] = [];
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
      // No jitter on early refreshes, and half of the longest pause after a failure.
      random: () => 0,
      setTimer: clock.setTimer,
      storage,
      openDocument: (url) => void documents.push(url),
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
    documents,
    storage,
    stored,
    posted,
    marker: (name = 'latchkey') => JSON.parse(stored.get(`${name}.marker`) ?? 'null') as Record<string, unknown> | null,
    /** What would leak if it outlived an operation. */
    count: () => ({
      timers: clock.timers(),
      channels: channels.size,
      listeners: listeners.size,
    }),
  };
}
