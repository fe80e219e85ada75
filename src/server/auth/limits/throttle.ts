import { createHash } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Failed } from '../sessions/sessions.ts';
import type { Proof } from '../sign-in.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export interface Limit {
  points: number;
  durationSeconds: number;
}

/** docs/security.md explains each. Limits by address must leave room for an office behind one address. */
export const LIMITS = {
  register: { points: 120, durationSeconds: HOUR },
  /** Attempts that race for one email count, too. */
  registrationMail: { points: 20, durationSeconds: HOUR },
  loginByAddress: { points: 100, durationSeconds: 15 * MINUTE },
  loginByAccount: { points: 10, durationSeconds: DAY },
  knownDevices: { points: 100, durationSeconds: DAY },
  backoff: { firstSeconds: 30, maxSeconds: HOUR },
  /** Twice what five tabs with one-second tokens need. */
  refreshBySession: { points: 600, durationSeconds: MINUTE },
  refreshRefused: { points: 300, durationSeconds: MINUTE },
  logoutBySession: { points: 60, durationSeconds: MINUTE },
  logoutWithoutSession: { points: 300, durationSeconds: MINUTE },
  newDeviceMail: { points: 10, durationSeconds: DAY },
} as const;

/** Creates a limiter that counts in the database, across restarts and servers. `duration` in seconds. */
export type DurableLimiter = (name: string, limit: { points: number; duration: number }) => RateLimiterAbstract;

/** Counts one call for a key, such as a user ID. @returns undefined if the call is allowed */
export type Limiter = (key: string) => Promise<Failed | undefined>;

export interface Guess {
  email: string;
  network: string;
  knownDevice: string | undefined;
}

/** `giveBack` is for an attempt that was not made after all. */
type Turn = { kind: 'taken'; giveBack: () => Promise<unknown> } | { kind: 'refused'; seconds: number };

export const accountKey = (email: string): string => createHash('sha256').update(email).digest('base64url');

const limited = (seconds: number): Failed => ({
  kind: 'failed',
  failure: { code: 'rate_limited', retryAfter: Math.max(1, Math.ceil(seconds)) },
});

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

/** For features. Counted in the database; each named limiter is created once. */
export function createLimiters(durable: DurableLimiter) {
  const limiters = new Map<string, Limiter>();
  return (name: string, limit: Limit): Limiter => {
    const known = limiters.get(name);
    if (known !== undefined) return known;
    // The prefix keeps features from sharing a counter with the kernel.
    const made = limiterOn(durable(`feature:${name}`, toLibrary(limit)));
    limiters.set(name, made);
    return made;
  };
}

/**
 * Rate limits of the kernel. Password attempts are counted in the database, before the password is checked, so that
 * neither a restart nor a burst of concurrent attempts allows more of them. What only causes load is counted in
 * memory, which is free.
 */
export function createThrottle(durable: DurableLimiter) {
  const loginByAddress = durable('login_address', toLibrary(LIMITS.loginByAddress));
  const knownDevices = durable('login_known_devices', toLibrary(LIMITS.knownDevices));
  const failures = durable('login_failures', toLibrary(LIMITS.loginByAccount));
  const turn = durable('login_turn', { points: 1, duration: LIMITS.backoff.firstSeconds });
  const inMemory = (limit: Limit) => limiterOn(new RateLimiterMemory(toLibrary(limit)));

  /** The first attempts are free. After those, one attempt at a time, each after twice the wait. */
  async function takeTurn(key: string): Promise<Turn> {
    const free = LIMITS.loginByAccount.points;
    const count = (await failures.get(key))?.consumedPoints ?? 0;
    const returnFailure = () => failures.reward(key, 1);
    if (count < free) {
      if ((await take(failures, key)) === undefined) return { kind: 'taken', giveBack: returnFailure };
      // Concurrent attempts used up the rest. This one was not made, so it does not count.
      await returnFailure();
    }
    const wait = LIMITS.backoff.firstSeconds * 2 ** Math.max(0, count - free);
    const refused = await take(turn, key, Math.min(wait, LIMITS.backoff.maxSeconds));
    if (refused !== undefined) return { kind: 'refused', seconds: refused };
    await failures.penalty(key, 1);
    // Deleted, because attempts that have been refused meanwhile are counted in it, too.
    return { kind: 'taken', giveBack: () => Promise.all([returnFailure(), turn.delete(key)]) };
  }

  /**
   * Each known device has its own counter, and anyone who once knew the password may have collected any number of them.
   * @returns whether the known devices of the account together have attempts left
   */
  async function takeKnownDevice(account: string): Promise<boolean> {
    if ((await take(knownDevices, account)) === undefined) return true;
    // Or a burst from one device, most of which its own counter refuses, would use up what is left to the others.
    await knownDevices.reward(account, 1);
    return false;
  }

  async function forget(key: string): Promise<void> {
    await Promise.all([failures.delete(key), turn.delete(key)]);
  }

  return {
    newDeviceMail: limiterOn(durable('new_device_mail', toLibrary(LIMITS.newDeviceMail))),
    register: limiterOn(durable('register', toLibrary(LIMITS.register))),
    registrationMail: limiterOn(durable('registration_mail', toLibrary(LIMITS.registrationMail))),
    refreshBySession: inMemory(LIMITS.refreshBySession),
    refreshRefused: inMemory(LIMITS.refreshRefused),
    logoutBySession: inMemory(LIMITS.logoutBySession),
    logoutWithoutSession: inMemory(LIMITS.logoutWithoutSession),

    /** @param check verifies the password; only `invalid_credentials` counts as an attempt */
    async guess(guess: Guess, check: () => Promise<Proof>): Promise<Proof> {
      const account = accountKey(guess.email);
      const isKnown = guess.knownDevice !== undefined && (await takeKnownDevice(account));
      // A known device has its own counter and is exempt from that of its address, so that attempts by others, even
      // behind the same address, cannot keep the owner out.
      const key = isKnown ? `device:${guess.knownDevice}` : `account:${account}`;
      const byAddress = isKnown ? undefined : await take(loginByAddress, guess.network);
      if (byAddress !== undefined) return limited(byAddress);
      const returnPoint = () => (isKnown ? knownDevices.reward(account, 1) : loginByAddress.reward(guess.network, 1));
      const attempt = await takeTurn(key);
      if (attempt.kind === 'refused') {
        await returnPoint();
        return limited(attempt.seconds);
      }
      // An attempt that was not made does not count.
      const returnPoints = () => Promise.all([returnPoint(), attempt.giveBack()]);
      const proof = await check().catch(async (error: unknown) => {
        await returnPoints();
        throw error;
      });
      if (proof.kind === 'failed' && proof.failure.code === 'invalid_credentials') return proof;
      if (proof.kind === 'failed') await returnPoints();
      else await Promise.all([returnPoint(), forget(key)]);
      return proof;
    },

    /**
     * For when a password has been replaced without being known, by a mailed link: the failures were those of guessing the old
     * one, and the wait that they have led to would keep the owner from using the new one.
     */
    async forgetFailures({ email, knownDevice }: Pick<Guess, 'email' | 'knownDevice'>): Promise<void> {
      await forget(`account:${accountKey(email)}`);
      if (knownDevice !== undefined) await forget(`device:${knownDevice}`);
    },
  };
}
