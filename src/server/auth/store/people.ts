import type { User } from '../../../shared/auth.ts';
import { toUser, type Account } from './auth-store.ts';

/** An account and the newest use of its sessions, in milliseconds since the epoch. */
export interface PersonRow {
  user: User;
  disabledAt: number | null;
  lastSeenAt: number | null;
}

/** `prefix` and `after`: ASCII in lower case. `after`: the key of the last row of the page before. */
export interface PrefixRange {
  prefix: string;
  after: string | undefined;
  limit: number;
}

/** Reads of people by index, for admins. Whatever is asked, a verb reads at most `limit` accounts. */
export interface PeopleStore {
  /** The accounts whose username begins with the prefix, in any case, by username in lower case. */
  byUsername(range: PrefixRange): Promise<PersonRow[]>;
  /** The accounts whose email begins with the prefix, by email. */
  byEmail(range: PrefixRange): Promise<PersonRow[]>;
  lastSeenAt(userId: string): Promise<number | null>;
}

/** Comes after every character of a username or an email. */
const AFTER_ASCII = '\x7f';

/** A range and not LIKE, whose wildcards would have to be escaped, and which not every collation has an index for. */
export const beyond = (prefix: string): string => `${prefix}${AFTER_ASCII}`;

type PersonFields = Pick<
  Account,
  'id' | 'username' | 'email' | 'emailVerifiedAt' | 'role' | 'createdAt' | 'disabledAt'
>;

export const toPersonRow = ({ lastSeenAt, ...account }: PersonFields & { lastSeenAt: unknown }): PersonRow => ({
  user: toUser(account),
  disabledAt: account.disabledAt,
  lastSeenAt: toTime(lastSeenAt),
});

/** @param max of a column, which PostgreSQL's driver answers as a string, unlike the column; null where there are no rows */
export const toTime = (max: unknown): number | null => (max === null || max === undefined ? null : Number(max));
