import { grantSchema, userSchema, type Grant, type User } from '../../shared/auth.ts';
import { quietly, watch, type SessionEnvironment, type TabChannel } from './session-environment.ts';

/** What a reload, or a tab that slept, can know. Holds no secret: anybody may read it. */
export interface Marker {
  sid: string;
  /** Of the server's rotation. */
  generation: number;
  /** `logout-pending`: the person has logged out, and the server could not be told yet. */
  state: 'active' | 'ended' | 'logout-pending';
  /** Wall clock, in milliseconds. */
  at: number;
}

/** What tabs tell each other. In memory only; the token in it never touches the disk. */
export type TabMessage =
  /** A refresh was answered, or somebody logged in. Both times by the wall clock, which the tabs of one machine share. */
  | { kind: 'token' | 'login'; grant: Grant; expiresAt: number; at: number }
  /** Asks for a later token of the session than `generation`. */
  | { kind: 'need'; sid: string; generation: number }
  | { kind: 'ended'; sid: string; reason: string }
  | { kind: 'user'; sid: string; user: User };

const VERSION = 1;
/** A wait that took so much longer than asked was a sleep, and says nothing about the holder of the lock. */
const SLEPT_FACTOR = 1.5;

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

  /** Waits for the lock, at most `waitMs`. Resolves when `hold` was called and has released it, or when there is no use in waiting. */
  async function wait(
    signal: AbortSignal,
    waitMs: number,
    hold: () => Promise<void>,
  ): Promise<'held' | 'late' | 'slept'> {
    const giveUp = new AbortController();
    const wall = environment.now();
    const monotonic = environment.monotonic();
    let outcome: 'held' | 'late' | 'slept' = 'held';
    const off = () => giveUp.abort();
    const late = () => {
      const elapsedMs = Math.max(environment.now() - wall, environment.monotonic() - monotonic);
      outcome = elapsedMs > waitMs * SLEPT_FACTOR ? 'slept' : 'late';
      off();
    };
    const stop = watch(environment, signal, waitMs, late, off);
    if (signal.aborted) off();
    try {
      await locks?.request(name, { signal: giveUp.signal }, () => {
        stop();
        return hold();
      });
    } catch {
      // Timed out, called off, stolen from us, or forbidden here (an opaque origin): the caller looks at what has begun.
    } finally {
      stop();
    }
    return outcome;
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
    marker: (): Marker | undefined => quietly(() => parseMarker(storage?.getItem(key))),
    mark(marker: Omit<Marker, 'at'>): void {
      try {
        storage?.setItem(key, JSON.stringify({ v: VERSION, ...marker, at: environment.now() }));
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
     * @param steal takes the lock away, once, from a holder that never came back: a frozen page cannot let go of it
     * @returns what `work` does, after the lock was let go
     */
    async underLock<T>(signal: AbortSignal, waitMs: number, steal: boolean, work: () => Promise<T>): Promise<T> {
      let begun: Promise<T> | undefined;
      let over = false;
      const begin = () => (begun ??= work());
      const hold = async () => {
        if (!over) await begin().catch(() => {});
      };
      if (locks) {
        let outcome = await wait(signal, waitMs, hold);
        if (outcome === 'slept' && !begun) outcome = await wait(signal, waitMs, hold);
        // In an async function, so that a throw is a rejection too.
        const take = async () => locks.request(name, { steal }, hold);
        if (outcome !== 'held' && !begun && steal) await take().catch(() => {});
      }
      over = true;
      return begin();
    },
  };
}

function parseMarker(text: string | null | undefined): Marker | undefined {
  const raw = asRecord(text ? JSON.parse(text) : undefined);
  const { sid, generation, state, at } = raw;
  if (raw.v !== VERSION || typeof sid !== 'string' || typeof generation !== 'number' || typeof at !== 'number') return;
  return state === 'active' || state === 'ended' || state === 'logout-pending'
    ? { sid, generation, state, at }
    : undefined;
}

/** Tabs of another version of this code, and other code of this origin, may use the channel too. */
function parseMessage(data: unknown, now: number): TabMessage | undefined {
  const raw = asRecord(data);
  const { kind, sid, expiresAt, at } = raw;
  if (raw.v !== VERSION) return;
  if ((kind === 'token' || kind === 'login') && typeof expiresAt === 'number' && typeof at === 'number') {
    // What is left of it; nothing is left where the tab was frozen, and the schema refuses that.
    const grant = grantSchema.safeParse({ ...asRecord(raw.grant), expiresIn: (expiresAt - now) / 1000 }).data;
    return grant && { kind, grant, expiresAt, at };
  }
  if (typeof sid !== 'string') return;
  if (kind === 'need' && typeof raw.generation === 'number') return { kind, sid, generation: raw.generation };
  if (kind === 'ended' && typeof raw.reason === 'string') return { kind, sid, reason: raw.reason };
  const user = kind === 'user' ? userSchema.safeParse(raw.user).data : undefined;
  return user && { kind: 'user', sid, user };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
