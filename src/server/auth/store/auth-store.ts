import { randomUUID } from 'node:crypto';
import type { Role, User } from '../../../shared/auth.ts';
import type { SessionEndReason } from '../../../shared/failures.ts';
import { newMail, type NewMail } from '../../mail/mails.ts';
import type { OutboxRow } from '../../mail/outbox-store.ts';
import { describeDevice } from '../device.ts';
import { iso } from '../iso.ts';
import type { AccessClaims, EndReason, Policy, RefreshClaims, SessionRow } from '../sessions/rotation.ts';

/** An account as stored. Times in milliseconds since the epoch. */
export interface Account {
  id: string;
  username: string;
  /** Lower-cased. */
  email: string;
  emailVerifiedAt: number | null;
  passwordHash: string;
  /** Unlike the hash, it stays the same when the same password is hashed again at another cost. */
  passwordChangedAt: number;
  role: Role;
  disabledAt: number | null;
  createdAt: number;
}

/** A single-use link, sent by mail. See auth/links.ts. */
export interface LinkRow {
  id: string;
  purpose: string;
  /** Null where there is no account, or none yet. */
  userId: string | null;
  data: Record<string, string>;
  createdAt: number;
  expiresAt: number;
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
  mails?: readonly NewMail[];
}

/** `replaced`: whether the session named by `replacing` was live, and has been ended. */
export interface SessionCreated {
  kind: 'created';
  replaced: boolean;
}
export type AccountCreated = SessionCreated | { kind: 'username_taken' | 'email_taken' };

/** A change of an account and all that follows from it: everything happens, or nothing. */
export interface AccountChange {
  userId: string;
  now: number;
  /** The id of a link of this account, which this uses up. Where there is none, or it has expired, nothing changes. */
  link?: string;
  /** The id of the session that asks for it. Once that has ended, nothing changes. */
  session?: string;
  /** Once the user of `session` is no admin, or is disabled, nothing changes. */
  byAdmin?: boolean;
  /** What the change was decided on. Where the account differs by now, nothing changes. */
  expected?: Partial<Account>;
  set?: Partial<Omit<Account, 'id' | 'createdAt'>>;
  /**
   * Deletes the account with its links, and the mails that carry them. Its sessions stay, ended, and so do audit events, but
   * without what is known of the person.
   */
  delete?: boolean;
  /** Ends the live sessions of the account: all of them, all but one, or one. */
  endSessions?: { except?: string; only?: string };
  /** Purposes of links that stop working. */
  revokeLinks?: readonly string[];
  /** Replaces a link of the same purpose. */
  newLink?: LinkRow;
  mails?: readonly NewMail[];
}

/**
 * `changed`: with the account as it is now, or last was, and the ids of the sessions ended. `overtaken`: the account does
 * not exist, or is not as expected, or the session has ended, or is not that of an admin. `last_admin`: no active admin would
 * be left.
 * Of several reasons to refuse it answers the first in the order `overtaken`, `last_admin`, `link_invalid`, `username_taken`,
 * `email_taken`.
 */
export type AccountChanged =
  | { kind: 'changed'; account: Account; endedSessions: string[] }
  | { kind: 'overtaken' | 'link_invalid' | 'username_taken' | 'email_taken' | 'last_admin' };

/** The answer for a session that is not there: it was idle for so long that it has been purged. */
export const PURGED: Ended = { kind: 'ended', reason: 'expired', byThisCall: false };

/** The answer for a session of an account that has been deleted: it has ended with it. */
export const endedWithAccount = ({ endReason }: SessionRow): Ended => ({
  kind: 'ended',
  reason: endReason ?? 'revoked',
  byThisCall: false,
});

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
  /** Durable. Creates the account and, where given, its first session and link: all or nothing. */
  createAccount(account: Account, first?: NewSession, link?: LinkRow): Promise<AccountCreated>;
  /**
   * Durable. Creates an account with a link of nobody that has not expired by `account.createdAt`, and uses the link up: both
   * or neither. An invalid link is answered before a taken name.
   */
  createAccountWithLink(
    account: Account,
    linkId: string,
  ): Promise<{ kind: 'created' | 'link_invalid' | 'username_taken' | 'email_taken' }>;
  /** @param username in any case @param email lower-cased @returns `username_taken` where both are taken */
  findTaken(username: string, email: string): Promise<'username_taken' | 'email_taken' | undefined>;
  /** @param email lower-cased */
  findAccountByEmail(email: string): Promise<Account | undefined>;
  findAccount(id: string): Promise<Account | undefined>;
  /** Durable. */
  changeAccount(change: AccountChange): Promise<AccountChanged>;
  /**
   * Durable. Replaces a link of the same account and purpose, if there is one. Whether it is for an account or for nobody, it
   * takes the same time. Does nothing where the account has been deleted.
   */
  createLink(link: LinkRow, mails: readonly NewMail[]): Promise<void>;
  findLink(id: string): Promise<LinkRow | undefined>;
  /** Deletes at most `limit` links with `expiresAt` before `before`. @returns the number of rows deleted */
  purgeLinks(before: number, limit: number): Promise<number>;
  /** Durable. Does nothing where the stored hash is no longer `from`. */
  replacePasswordHash(userId: string, from: string, to: string): Promise<void>;
  /**
   * Durable. Answers `overtaken` where the account has been deleted or disabled, or its password changed, since it was read.
   */
  createSession(session: NewSession, account: Account): Promise<SessionCreated | { kind: 'overtaken' }>;
  /** The sessions of a user that have not ended and expire after `now`, newest use first. */
  liveSessions(userId: string, now: number): Promise<SessionRow[]>;
  /** Every session of a user that is kept, ended or not, newest first. */
  sessionsOf(userId: string): Promise<SessionRow[]>;
  linksOf(userId: string): Promise<LinkRow[]>;
  /** The mails about a user that wait in the outbox. */
  mailsOf(userId: string): Promise<OutboxRow[]>;
  /** Records that the person has just proved who they are. */
  setAuthenticatedAt(sessionId: string, now: number): Promise<void>;
  /** Redeems a refresh token by `decideRefresh`. Durable where that ends the session. */
  redeem(claims: RefreshClaims, now: number, policy: Policy): Promise<Redeemed>;
  /** Authenticates a protected call by `decideCall`. Durable where that ends the session. */
  authenticate(claims: AccessClaims, now: number, policy: Policy): Promise<AuthenticatedSession>;
  /** Durable. The first reason stays. @returns false where the session had already ended */
  endSession(id: string, reason: EndReason, now: number): Promise<boolean>;
  /**
   * Examines at most `limit` sessions that may have an `issuedAt` before `before`, and deletes those that do.
   * @returns the numbers of rows examined and deleted; where `limit` rows were examined, there may be more
   */
  purgeSessions(before: number, limit: number): Promise<{ examined: number; deleted: number }>;
  /** Rejects where the database cannot be read or written; it writes nothing, so a full disk goes unnoticed. */
  ping(): Promise<void>;
}

/** The user as clients may see it, chosen field by field here and nowhere else. */
export function toUser(account: Pick<Account, UserField>): User {
  const { id, username, email, emailVerifiedAt, role, createdAt } = account;
  return {
    id,
    username,
    email,
    emailVerified: emailVerifiedAt !== null,
    role,
    createdAt: iso(createdAt),
  };
}
type UserField = 'id' | 'username' | 'email' | 'emailVerifiedAt' | 'role' | 'createdAt';

// What the stores share: the rules of a change, applied inside their step.

export const isAsExpected = (account: Account, expected: Partial<Account> = {}): boolean =>
  Object.entries(expected).every(([field, value]) => account[field as keyof Account] === value);

/** Whether they count as one of those who can administer. */
export const isActiveAdmin = ({ role, disabledAt }: Pick<Account, 'role' | 'disabledAt'>) =>
  role === 'admin' && disabledAt === null;

/** Whether the change can make somebody stop being an active admin. */
export const mayLoseAdmin = (change: AccountChange): boolean =>
  change.delete === true || change.set?.role !== undefined || change.set?.disabledAt !== undefined;

/** Whether the change takes from an active admin what makes them one: then there has to be another. */
export const losesAdmin = (account: Account, change: AccountChange): boolean =>
  isActiveAdmin(account) && (change.delete === true || !isActiveAdmin({ ...account, ...change.set }));

/** With a lower bound of `issuedAt` to purge by, which only purging moves. */
export const toStoredSession = (session: SessionRow) => ({ ...session, indexedIssuedAt: session.issuedAt });

export const toOutboxRow = (mail: NewMail, now: number) => ({
  ...mail,
  id: randomUUID(),
  createdAt: now,
  attempts: 0,
  nextAttemptAt: now,
});

/** Tells the owner of a session that it was ended because its token was used by two holders. */
export const reusedMail = ({ session: { userAgent, ip }, user }: Live): NewMail =>
  newMail('session-reused', user, { device: describeDevice(userAgent), ip: ip ?? 'unknown' });
