import { z } from 'zod';
import { grantSchema, userSchema } from '../../shared/auth.ts';
import {
  quietly,
  stopwatch,
  watch,
  type SessionEnvironment,
  type TabChannel,
  type TabLocks,
} from './session-environment.ts';

const VERSION = 1;

/** What a reload, or a tab that slept, can know. Holds no secret: anybody may read it. */
const markerSchema = z.object({
  v: z.literal(VERSION),
  sid: z.string(),
  /** Of the server's rotation. */
  generation: z.number(),
  /** `logout-pending`: the person has logged out, and the server could not be told yet. */
  state: z.enum(['active', 'ended', 'logout-pending']),
  /** Wall clock, in milliseconds. */
  at: z.number(),
});
export type Marker = z.infer<typeof markerSchema>;

/**
 * What tabs tell each other. In memory only; the token in it never touches the disk. Tabs of another version of this code,
 * and other code of this origin, may use the channel too.
 */
const messageSchema = z.discriminatedUnion('kind', [
  /** A refresh was answered, or somebody logged in. Both times by the wall clock, which the tabs of one machine share. */
  z.object({ kind: z.enum(['token', 'login']), grant: grantSchema, expiresAt: z.number(), at: z.number() }),
  /** Asks for a later token of the session than `generation`. */
  z.object({ kind: z.literal('need'), sid: z.string(), generation: z.number() }),
  z.object({ kind: z.literal('ended'), sid: z.string(), reason: z.string() }),
  z.object({ kind: z.literal('user'), user: userSchema }),
]);
export type TabMessage = z.infer<typeof messageSchema>;

/** A wait that took so much longer than asked was a sleep, and says nothing about the holder of the lock. */
const SLEPT_FACTOR = 1.5;
/** A lock that is asked for without waiting is there at once, or not at all. */
const ANSWER_MS = 1_000;

type LockOptions = Parameters<TabLocks['request']>[1];
type LockHolder = Parameters<TabLocks['request']>[2];

/**
 * The other tabs of this browser. All of it is politeness: with no locks, no channel and no storage everything still
 * works, with more requests, because the server gives racing tabs the same generation.
 */
export function createTabs(name: string, environment: SessionEnvironment, receive: (message: TabMessage) => void) {
  const { storage, locks } = environment;
  const key = `${name}.marker`;
  let channel: TabChannel | undefined;

  const onMessage = (raw: unknown) => {
    const message = parseMessage(raw, environment.now());
    if (message) receive(message);
  };

  /**
   * Settles when `hold` has let go of the lock, or when it cannot be had; `late` if nobody had given it in `ms`. The caller
   * looks at what has begun.
   */
  function request(signal: AbortSignal, ms: number, how: LockOptions, hold: LockHolder): Promise<'done' | 'late'> {
    const { promise, resolve } = Promise.withResolvers<'done' | 'late'>();
    const finish = () => resolve('done');
    const stop = watch(environment, signal, ms, () => resolve('late'), finish);
    // In an async function, so that a throw is a rejection too.
    const call = async () =>
      locks?.request(name, how, (lock) => {
        stop();
        return hold(lock);
      });
    // Called off, stolen from us, or forbidden here (an opaque origin): all the same.
    if (signal.aborted) finish();
    else call().then(finish, finish);
    return promise.finally(stop);
  }

  /** Waits in line for the lock, at most `waitMs`; `slept` where that was a sleep. */
  async function wait(signal: AbortSignal, waitMs: number, hold: LockHolder): Promise<'done' | 'late' | 'slept'> {
    const leave = new AbortController();
    const waitedMs = stopwatch(environment);
    const outcome = await request(signal, waitMs, { signal: leave.signal }, hold);
    leave.abort();
    return outcome === 'late' && waitedMs() > waitMs * SLEPT_FACTOR ? 'slept' : outcome;
  }

  return {
    open(): void {
      // A sandboxed frame may not; the tabs then do not hear of each other.
      channel ??= quietly(() => environment.openChannel?.(name, onMessage));
    },
    close(): void {
      channel?.close();
      channel = undefined;
    },
    post(message: TabMessage): void {
      quietly(() => channel?.post({ v: VERSION, ...message }));
    },
    marker: (): Marker | undefined =>
      quietly(() => markerSchema.safeParse(JSON.parse(storage?.getItem(key) ?? 'null')).data),
    mark(marker: Omit<Marker, 'v' | 'at'>): void {
      try {
        storage?.setItem(key, JSON.stringify({ ...marker, v: VERSION, at: environment.now() }));
      } catch {
        // Full. An old marker would be a wrong one; none at all is handled like a storage that does not work.
        quietly(() => storage?.removeItem(key));
      }
    },
    /** Whether the lack of a marker means that nobody has logged in here: only a storage that can be written remembers. */
    remembers: (): boolean =>
      quietly(() => {
        storage?.setItem(`${key}.probe`, '');
        storage?.removeItem(`${key}.probe`);
        return !!storage;
      }) ?? false,

    /**
     * Runs `work` while no other tab does, as far as that can be had within `waitMs`; without it then. `work` must be
     * bounded, and settle at once when `signal` is aborted.
     * @param work is told whether another tab had the lock
     * @param steal takes the lock away, once, from a holder that never came back: a frozen page cannot let go of it
     * @returns what `work` does, after the lock was let go
     */
    async underLock<T>(
      signal: AbortSignal,
      waitMs: number,
      steal: boolean,
      work: (waited: boolean) => Promise<T>,
    ): Promise<T> {
      let begun: Promise<T> | undefined;
      let over = false;
      let waited = false;
      const begin = () => (begun ??= work(waited));
      const hold = async () => {
        if (!over) await begin().catch(() => {});
      };
      if (locks) {
        await request(signal, ANSWER_MS, { ifAvailable: true }, async (lock) => {
          waited = lock === null;
          if (!waited) await hold();
        });
        let outcome = begun ? 'done' : await wait(signal, waitMs, hold);
        if (outcome === 'slept' && !begun) outcome = await wait(signal, waitMs, hold);
        if (outcome !== 'done' && !begun && steal) await request(signal, ANSWER_MS, { steal }, hold);
      }
      over = true;
      return begin();
    },
  };
}
export type Tabs = ReturnType<typeof createTabs>;

function parseMessage(data: unknown, now: number): TabMessage | undefined {
  const message = (data as { v?: unknown } | null)?.v === VERSION ? messageSchema.safeParse(data).data : undefined;
  if (!message || !('grant' in message)) return message;
  // What is left of it: nothing where the tab was frozen.
  const expiresIn = (message.expiresAt - now) / 1000;
  return expiresIn > 0 ? { ...message, grant: { ...message.grant, expiresIn } } : undefined;
}
