import { createHash } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Failed } from '../sessions/sessions.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * Every limit there is. Durations in seconds. What is counted by address must leave room for an office behind one address.
 * docs/security.md explains each.
 */
export const LIMITS = {
  /** Accounts that one address may try to create. */
  register: { points: 120, duration: HOUR },
  /** Wrong passwords from one address, over all accounts. */
  loginByAddress: { points: 100, duration: 15 * MINUTE },
  /** Wrong passwords for one account before each further try has to wait. They are forgotten after `duration`. */
  loginByAccount: { points: 10, duration: DAY },
  /** How long the first try that has to wait does so; each wait is twice the one before, up to `most`. */
  backoff: { first: 30, most: HOUR },
  /** Refreshes of one session: a page of five tabs whose tokens live for a second needs half of it. */
  refreshBySession: { points: 600, duration: MINUTE },
  /** Refreshes without a session, from one address. */
  refreshRefused: { points: 300, duration: MINUTE },
  /** Ending one and the same session. */
  logoutBySession: { points: 60, duration: MINUTE },
  /** Logouts without a session to end, from one address. */
  logoutOfNone: { points: 300, duration: MINUTE },
} as const;

/** Makes a limiter whose counts outlast a restart, and are shared by all servers on one database. */
export type DurableLimiter = (name: string, limit: { points: number; duration: number }) => RateLimiterAbstract;

/** Somebody who tries a password. */
export interface Guess {
  /** Of the account, whether there is one or not; lower-cased. */
  email: string;
  /** As `networkOf` tells it. */
  network: string;
  /** The id of a device from which this account was signed in to before. */
  knownDevice: string | undefined;
}

/** An account in counters and events: the same whether there is such an account or not, and no email in plain. */
export const identifierOf = (email: string): string => createHash('sha256').update(email).digest('base64url');

const limited = (seconds: number): Failed => ({
  failure: { code: 'rate_limited', retryAfter: Math.max(1, Math.ceil(seconds)) },
});

/** Takes one try. @returns the seconds until the next one where there is none left */
async function take(limiter: RateLimiterAbstract, key: string, duration?: number): Promise<number | undefined> {
  try {
    await limiter.consume(key, 1, duration === undefined ? {} : { customDuration: duration });
    return undefined;
  } catch (refused) {
    if (refused instanceof RateLimiterRes) return refused.msBeforeNext / 1000;
    throw refused;
  }
}

/**
 * Limits what can be guessed and what can be flooded. Guesses are counted in the database, before the password is looked
 * at, so that neither a restart nor a thousand at once gets more of them. Floods are counted in memory: that costs
 * nothing, and all they could do is cost something.
 */
export function createThrottle(durable: DurableLimiter) {
  const register = durable('register', LIMITS.register);
  const loginByAddress = durable('login_address', LIMITS.loginByAddress);
  const failures = durable('login_failures', LIMITS.loginByAccount);
  const turn = durable('login_turn', { points: 1, duration: LIMITS.backoff.first });
  const memory = (limit: { points: number; duration: number }) => new RateLimiterMemory(limit);
  const refreshBySession = memory(LIMITS.refreshBySession);
  const refreshRefused = memory(LIMITS.refreshRefused);
  const logoutBySession = memory(LIMITS.logoutBySession);
  const logoutOfNone = memory(LIMITS.logoutOfNone);

  /** The first tries are free; from then on one at a time may try, and the next after a wait that doubles. */
  async function takeTurn(key: string): Promise<number | undefined> {
    const free = LIMITS.loginByAccount.points;
    const count = (await failures.get(key))?.consumedPoints ?? 0;
    if (count < free) {
      if ((await take(failures, key)) === undefined) return undefined;
      // Others were faster. What was not tried does not count.
      await failures.reward(key, 1);
    }
    const wait = LIMITS.backoff.first * 2 ** Math.max(0, count - free);
    const refused = await take(turn, key, Math.min(wait, LIMITS.backoff.most));
    if (refused === undefined) await failures.penalty(key, 1);
    return refused;
  }

  const one =
    (limiter: RateLimiterAbstract) =>
    async (key: string): Promise<Failed | undefined> => {
      const seconds = await take(limiter, key);
      return seconds === undefined ? undefined : limited(seconds);
    };

  return {
    /** Each of these takes one try for a network or a session, and fails where there is none left. */
    register: one(register),
    refreshBySession: one(refreshBySession),
    refreshRefused: one(refreshRefused),
    logoutBySession: one(logoutBySession),
    logoutOfNone: one(logoutOfNone),

    /**
     * Lets somebody try a password, unless they or others have tried too many.
     * @param check looks at the password
     */
    async guess<Proof extends object>(guess: Guess, check: () => Promise<Proof | Failed>): Promise<Proof | Failed> {
      // A device that was signed in before has a count of its own, so nobody can keep the owner out by guessing.
      const key =
        guess.knownDevice === undefined ? `account:${identifierOf(guess.email)}` : `device:${guess.knownDevice}`;
      // Nor by guessing from behind the same address.
      const counted = guess.knownDevice === undefined;
      const byAddress = counted ? await take(loginByAddress, guess.network) : undefined;
      if (byAddress !== undefined) return limited(byAddress);
      const byAccount = await takeTurn(key);
      if (byAccount !== undefined) {
        if (counted) await loginByAddress.reward(guess.network, 1);
        return limited(byAccount);
      }
      const result = await check();
      const wrong = 'failure' in result && result.failure.code === 'invalid_credentials';
      if (counted && !wrong) await loginByAddress.reward(guess.network, 1);
      if (!('failure' in result)) {
        await failures.delete(key);
        await turn.delete(key);
      } else if (!wrong) await failures.reward(key, 1);
      return result;
    },
  };
}
export type Throttle = ReturnType<typeof createThrottle>;
