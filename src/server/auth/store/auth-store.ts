import type { User } from '../../../shared/auth.ts';
import type { Call, Copy, EndReason, Policy, SessionRow } from '../sessions/rotation.ts';
import type { SessionEndReason } from '../../../shared/failures.ts';

/** An account as it is stored. `createdAt` in milliseconds since the epoch. */
export interface Account {
  id: string;
  username: string;
  /** Lower-cased. */
  email: string;
  passwordHash: string;
  createdAt: number;
}

/** A session as a verb found or left it, and whose it is. */
export interface Live {
  session: SessionRow;
  user: User;
}

/** `now`: this very call ended it. */
export interface Ended {
  kind: 'ended';
  reason: SessionEndReason;
  now: boolean;
}

/** As for `createSession`. */
export interface FirstSession {
  session: SessionRow;
  inPlaceOf?: string | undefined;
}

/** `replaced`: a session was ended in whose place the first one began. */
export type AccountCreated = { kind: 'created'; replaced: boolean } | { kind: 'username_taken' | 'email_taken' };

/** The session is not there: it was idle for so long that it has been purged. */
export const PURGED: Ended = { kind: 'ended', reason: 'expired', now: false };

/** `rest`: no new cookie. `fresh`: a copy of `session.generation`, dated now, is to be handed out. */
export type Redeemed = Ended | ({ kind: 'rest' | 'fresh' } & Live);
export type Recognized = Ended | ({ kind: 'good' } & Live);

/**
 * What the kernel asks of a database, in the language of its rules. Each verb is one atomic step, and what it answers
 * holds at the moment at which it was written. The rules themselves are in protocol.ts; a store only applies them.
 * Times are milliseconds since the epoch. A verb that cannot be carried out rejects and has changed nothing.
 *
 * Synced verbs are on disk when they answer. The others may be undone by a power cut, which costs nothing: a signed token
 * proves its own rotation.
 */
export interface AuthStore {
  /** Synced. With its first session where one is given: both or neither. */
  createAccount(account: Account, first?: FirstSession): Promise<AccountCreated>;
  /** @param email lower-cased */
  findAccountByEmail(email: string): Promise<Account | undefined>;
  /** Synced. Replaces the hash unless another one was set meanwhile. */
  replacePasswordHash(userId: string, from: string, to: string): Promise<void>;
  /** Synced. Starts a session and ends the one that it takes the place of. @returns whether there was one to end */
  createSession(session: SessionRow, inPlaceOf?: string): Promise<boolean>;
  /** Redeems a copy (protocol.ts, `judgeRedemption`). An end that it finds is synced. */
  redeem(copy: Copy, now: number, policy: Policy): Promise<Redeemed>;
  /** Looks up a protected call's session and user (protocol.ts, `judgeCall`). An end that it finds is synced. */
  recognize(call: Call, now: number, policy: Policy): Promise<Recognized>;
  /** Synced. The first end wins. @returns whether this call ended it */
  endSession(id: string, reason: EndReason, now: number): Promise<boolean>;
  /** Removes at most `limit` sessions last rotated before `before`. @returns how many */
  purgeSessions(before: number, limit: number): Promise<number>;
  /** Rejects where the database cannot be read, or nothing be written for want of its lock or a right; being full is not seen. */
  ping(): Promise<void>;
}

/** A person as a client may know them. The one place that decides it. */
export function toUser({ id, username, email, createdAt }: Omit<Account, 'passwordHash'>): User {
  return { id, username, email, createdAt: new Date(createdAt).toISOString() };
}
