import type { User } from '../../../shared/auth.ts';
import type { SessionEndReason } from '../../../shared/failures.ts';
import type { AccessClaims, EndReason, Policy, RefreshClaims, SessionRow } from '../sessions/rotation.ts';

/** An account as stored. `createdAt` in milliseconds since the epoch. */
export interface Account {
  id: string;
  username: string;
  /** Lower-cased. */
  email: string;
  passwordHash: string;
  createdAt: number;
}

/** A session as it is after the verb, and its user. */
export interface Live {
  session: SessionRow;
  user: User;
}

export interface Ended {
  kind: 'ended';
  reason: SessionEndReason;
  /** False where it had ended before. */
  byThisCall: boolean;
}

export interface NewSession {
  session: SessionRow;
  /** The id of the session to end in the same step, where there is one. */
  replacing?: string | undefined;
}

/** `replaced`: whether the session named by `replacing` was live, and has been ended. */
export interface SessionCreated {
  kind: 'created';
  replaced: boolean;
}
export type AccountCreated = SessionCreated | { kind: 'username_taken' | 'email_taken' };

/** The answer for a session that is not there: it was idle for so long that it has been purged. */
export const PURGED: Ended = { kind: 'ended', reason: 'expired', byThisCall: false };

/** `keep`: the cookie stays as it is. `issue`: a refresh token of `session.generation`, issued now, is to be signed. */
export type Redeemed = Ended | ({ kind: 'keep' | 'issue' } & Live);
export type AuthenticatedSession = Ended | ({ kind: 'authenticated' } & Live);

/**
 * What accounts and sessions need from a database. Each verb is one atomic step. The rules are in sessions/rotation.ts;
 * a store applies them. Times are milliseconds since the epoch.
 *
 * A verb rejects with an error that is DatabaseUnavailable (db/errors.ts) where the database cannot execute it. It has then
 * changed nothing, unless the connection to PostgreSQL broke before the answer came: calling it again does no harm.
 * Verbs marked "Durable" have reached the disk when they resolve. A power cut may undo the others, which is harmless: a
 * signed token proves its own rotation.
 */
export interface AuthStore {
  /** Durable. Creates the account and, where given, its first session: both or neither. */
  createAccount(account: Account, first?: NewSession): Promise<AccountCreated>;
  /** @param username in any case @param email lower-cased @returns `username_taken` where both are taken */
  findTaken(username: string, email: string): Promise<'username_taken' | 'email_taken' | undefined>;
  /** @param email lower-cased */
  findAccountByEmail(email: string): Promise<Account | undefined>;
  /** Durable. Does nothing where the stored hash is no longer `from`. */
  replacePasswordHash(userId: string, from: string, to: string): Promise<void>;
  /** Durable. */
  createSession(session: NewSession): Promise<SessionCreated>;
  /** Redeems a refresh token by `decideRefresh`. Durable where that ends the session. */
  redeem(claims: RefreshClaims, now: number, policy: Policy): Promise<Redeemed>;
  /** Authenticates a protected call by `decideCall`. Durable where that ends the session. */
  authenticate(claims: AccessClaims, now: number, policy: Policy): Promise<AuthenticatedSession>;
  /** Durable. The first reason stays. @returns false where the session had already ended */
  endSession(id: string, reason: EndReason, now: number): Promise<boolean>;
  /** Deletes at most `limit` sessions with `issuedAt` before `before`. @returns the number of rows deleted */
  purgeSessions(before: number, limit: number): Promise<number>;
  /** Rejects where the database cannot be read or written; it writes nothing, so a full disk goes unnoticed. */
  ping(): Promise<void>;
}

/** The user as clients may see it, chosen field by field here and nowhere else. */
export function toUser({ id, username, email, createdAt }: Omit<Account, 'passwordHash'>): User {
  return { id, username, email, createdAt: new Date(createdAt).toISOString() };
}
