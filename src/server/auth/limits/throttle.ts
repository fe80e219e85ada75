import { createHash } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Failed } from '../sessions/sessions.ts';
import type { Proof } from '../sign-in.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface Limit {
  /** Calls that are allowed in `durationSeconds`. */
  points: number;
  durationSeconds: number;
}

/** The kernel's limits; docs/security.md explains each. Limits by address must leave room for an office behind one address. */
export const LIMITS = {
  register: { points: 120, durationSeconds: HOUR },
  /** Wrong passwords by address, across accounts. */
  loginByAddress: { points: 100, durationSeconds: 15 * MINUTE },
  /** Wrong passwords for one account before `backoff` begins. Forgotten after the duration. */
  loginByAccount: { points: 10, durationSeconds: DAY },
  /** The wait before the next attempt: doubles with each wrong password, from the first to the maximum. */
  backoff: { firstSeconds: 30, maxSeconds: HOUR },
  /** Refreshes of one session. Five tabs whose tokens live for one second need half of it. */
  refreshBySession: { points: 600, durationSeconds: MINUTE },
  refreshRefused: { points: 300, durationSeconds: MINUTE },
  logoutBySession: { points: 60, durationSeconds: MINUTE },
  logoutWithoutSession: { points: 300, durationSeconds: MINUTE },
} as const;

/** Makes a limiter that counts in the database: across restarts, and for all servers together. `duration` in seconds. */
export type DurableLimiter = (name: string, limit: { points: number; duration: number }) => RateLimiterAbstract;

/** Counts one call for a key, such as a user id. @returns undefined if the call is allowed */
export type Limiter = (key: string) => Promise<Failed | undefined>;

export interface Guess {
  /** Of the account, whether or not it exists; lower-cased. */
  email: string;
  /** See `clientNetwork`. */
  network: string;
  /** The id of a browser in which this account has signed in before. */
  knownDevice: string | undefined;
}

/** Stands for an account in counters and in the audit, whether or not it exists, without showing the email. */
export const accountKey = (email: string): string => createHash('sha256').update(email).digest('base64url');

const limited = (seconds: number): Failed => ({
  kind: 'failed',
  failure: { code: 'rate_limited', retryAfter: Math.max(1, Math.ceil(seconds)) },
});

/** Takes one point. @returns undefined, or the seconds until a point is available if none is left */
async function take(limiter: RateLimiterAbstract, key: string, durationSeconds?: number): Promise<number | undefined> {
  try {
    await limiter.consume(key, 1, durationSeconds === undefined ? {} : { customDuration: durationSeconds });
    return undefined;
  } catch (refused) {
    if (refused instanceof RateLimiterRes) return refused.msBeforeNext / 1000;
    throw refused;
  }
}

const limiterOn =
  (counter: RateLimiterAbstract): Limiter =>
  async (key) => {
    const seconds = await take(counter, key);
    return seconds === undefined ? undefined : limited(seconds);
  };

const toLibrary = ({ points, durationSeconds }: Limit) => ({ points, duration: durationSeconds });

/**
 * Limits of a feature's own, counted in the database.
 * @returns the limiter of a name, made at its first use
 */
export function createLimiters(durable: DurableLimiter) {
  const limiters = new Map<string, Limiter>();
  return (name: string, limit: Limit): Limiter => {
    const known = limiters.get(name);
    if (known !== undefined) return known;
    // The prefix keeps a feature that picks a name of the kernel's from sharing its counter.
    const made = limiterOn(durable(`feature:${name}`, toLibrary(limit)));
    limiters.set(name, made);
    return made;
  };
}

/**
 * Limits the kernel's own procedures. Password attempts are counted in the database, and before the password is checked, so
 * that neither a restart nor a thousand concurrent attempts allows more of them. What can only cause load is counted in
 * memory, which costs nothing.
 */
export function createThrottle(durable: DurableLimiter) {
  const loginByAddress = durable('login_address', toLibrary(LIMITS.loginByAddress));
  const failures = durable('login_failures', toLibrary(LIMITS.loginByAccount));
  const turn = durable('login_turn', { points: 1, duration: LIMITS.backoff.firstSeconds });
  const inMemory = (limit: Limit) => limiterOn(new RateLimiterMemory(toLibrary(limit)));

  /** The first attempts are free. After that one attempt is allowed at a time, and the next only after a wait that doubles. */
  async function takeTurn(key: string): Promise<number | undefined> {
    const free = LIMITS.loginByAccount.points;
    const count = (await failures.get(key))?.consumedPoints ?? 0;
    if (count < free) {
      if ((await take(failures, key)) === undefined) return undefined;
      // Concurrent attempts took the rest. This one was not made, so it does not count.
      await failures.reward(key, 1);
    }
    const wait = LIMITS.backoff.firstSeconds * 2 ** Math.max(0, count - free);
    const refused = await take(turn, key, Math.min(wait, LIMITS.backoff.maxSeconds));
    if (refused === undefined) await failures.penalty(key, 1);
    return refused;
  }

  return {
    register: limiterOn(durable('register', toLibrary(LIMITS.register))),
    refreshBySession: inMemory(LIMITS.refreshBySession),
    refreshRefused: inMemory(LIMITS.refreshRefused),
    logoutBySession: inMemory(LIMITS.logoutBySession),
    logoutWithoutSession: inMemory(LIMITS.logoutWithoutSession),

    /**
     * Runs `check` unless there have been too many wrong passwords.
     * @param check verifies the password; only its answer `invalid_credentials` counts as an attempt
     */
    async guess(guess: Guess, check: () => Promise<Proof>): Promise<Proof> {
      const isKnown = guess.knownDevice !== undefined;
      // A known device has its own counter and is exempt from the one of its address, so that nobody else's attempts, be it
      // from behind the same address, can keep the owner out.
      const key = isKnown ? `device:${guess.knownDevice}` : `account:${accountKey(guess.email)}`;
      const byAddress = isKnown ? undefined : await take(loginByAddress, guess.network);
      if (byAddress !== undefined) return limited(byAddress);
      const returnPoint = async () => {
        if (!isKnown) await loginByAddress.reward(guess.network, 1);
      };
      const byAccount = await takeTurn(key);
      if (byAccount !== undefined) {
        await returnPoint();
        return limited(byAccount);
      }
      const proof = await check();
      if (proof.kind === 'failed' && proof.failure.code === 'invalid_credentials') return proof;
      await returnPoint();
      if (proof.kind === 'failed') await failures.reward(key, 1);
      else await Promise.all([failures.delete(key), turn.delete(key)]);
      return proof;
    },
  };
}
