import { TRPCError } from '@trpc/server';
import * as z from 'zod/mini';
import {
  PEOPLE_PER_PAGE,
  type PeopleInput,
  type PeoplePage,
  type Person,
  type PersonDetails,
} from '../../shared/admin.ts';
import { iso, isoOrNull } from '../auth/iso.ts';
import { summarize } from '../auth/sessions/summary.ts';
import { toUser } from '../auth/store/auth-store.ts';
import type { PersonRow } from '../auth/store/people.ts';
import type { Context } from '../trpc.ts';
import { auditPage } from './audit.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';

/** Usernames and emails have no other characters. */
const ASCII = /^[\x20-\x7e]*$/;
const key = z.string().check(z.regex(ASCII));

/** The matches by username come first, then those by email alone. `after`: the last key that was looked at. */
const positionSchema = z.strictObject({ by: z.enum(['username', 'email']), after: z.optional(key) });
type Position = z.infer<typeof positionSchema>;

export const toPerson = ({ user, disabledAt, lastSeenAt }: PersonRow): Person => ({
  ...user,
  disabled: disabledAt !== null,
  lastSeenAt: isoOrNull(lastSeenAt),
});

/**
 * A page of the people whose username or email begins with `search`, in any case. However many there are, it reads no more than
 * twice `limit` of them: where most matches by email have been listed by username already, it is short.
 * @throws FailureError if the cursor is none
 */
export async function listPeople(
  ctx: Context,
  { search = '', cursor, limit = PEOPLE_PER_PAGE }: PeopleInput,
): Promise<PeoplePage> {
  const start: Position = (await decodeCursor(ctx, cursor, positionSchema)) ?? { by: 'username' };
  // Before lower-casing, which maps some other letters to ASCII.
  if (!ASCII.test(search)) return { people: [], nextCursor: null };
  const prefix = search.toLowerCase();
  const { people } = ctx.services;
  const found: PersonRow[] = [];
  let position = start;
  if (position.by === 'username') {
    const rows = await people.byUsername({ prefix, after: position.after, limit: limit + 1 });
    found.push(...rows.slice(0, limit));
    if (rows.length > limit) return page(found, { by: 'username', after: found.at(-1)?.user.username.toLowerCase() });
    // Everybody has been listed by now.
    if (prefix === '') return page(found, undefined);
    position = { by: 'email' };
  }
  const rows = await people.byEmail({ prefix, after: position.after, limit: limit + 1 });
  let lastLookedAt = position.after;
  let isMore = rows.length > limit;
  for (const row of rows.slice(0, limit)) {
    const isNew = !row.user.username.toLowerCase().startsWith(prefix);
    if (isNew && found.length === limit) {
      isMore = true;
      break;
    }
    if (isNew) found.push(row);
    lastLookedAt = row.user.email;
  }
  return page(found, isMore ? { by: 'email', after: lastLookedAt } : undefined);
}

const page = (rows: PersonRow[], next: Position | undefined): PeoplePage => ({
  people: rows.map(toPerson),
  nextCursor: next === undefined ? null : encodeCursor(next),
});

/** @throws TRPCError NOT_FOUND */
export async function readPerson(ctx: Context, id: string): Promise<PersonDetails> {
  const { findAccount, people, sessions } = ctx.services;
  const account = await findAccount(id);
  if (account === undefined) throw new TRPCError({ code: 'NOT_FOUND' });
  const { disabledAt, emailVerifiedAt, passwordChangedAt } = account;
  const lastSeenAt = await people.lastSeenAt(id);
  return {
    person: {
      ...toPerson({ user: toUser(account), disabledAt, lastSeenAt }),
      emailVerifiedAt: isoOrNull(emailVerifiedAt),
      passwordChangedAt: iso(passwordChangedAt),
      disabledAt: isoOrNull(disabledAt),
    },
    sessions: (await sessions.live(id)).map(summarize),
    audit: await auditPage(ctx, { userId: id }),
  };
}
