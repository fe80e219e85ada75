import * as z from 'zod/mini';
import { roles, type User } from './auth.ts';
import type { SessionSummary } from './sessions.ts';
import { id, text } from './text.ts';

/** A person as admins see them. Dates are ISO 8601 in UTC. */
export interface Person extends User {
  disabled: boolean;
  /** The last refresh or login of any session that is still kept. */
  lastSeenAt: string | null;
}

/** `nextCursor` is null on the last page. A page may be short, or empty, and still have one. */
export interface PeoplePage {
  people: Person[];
  nextCursor: string | null;
}

/** What happened to somebody, or to nobody we know. The names are those of today, and null where the account is gone. */
export interface AuditEntry {
  id: number;
  at: string;
  type: string;
  userId: string | null;
  username: string | null;
  /** Who did it, where that is not the user. */
  actorId: string | null;
  actorUsername: string | null;
  sessionId: string | null;
  ip: string | null;
  /** In words; null where no browser did it. */
  device: string | null;
  detail: string | null;
}

/** Newest first. */
export interface AuditPage {
  events: AuditEntry[];
  nextCursor: string | null;
}

export interface PersonDetails {
  person: Person & { emailVerifiedAt: string | null; passwordChangedAt: string; disabledAt: string | null };
  /** Those that can still be used, newest use first. */
  sessions: SessionSummary[];
  /** The first page of their audit; `admin.audit` has the others. */
  audit: AuditPage;
}

export const PEOPLE_PER_PAGE = 50;
const PEOPLE_PER_PAGE_MAX = 100;
export const EVENTS_PER_PAGE = 50;
/** More than a page shows, for exports. */
export const EVENTS_PER_PAGE_MAX = 1000;

const CURSOR_MAX_LENGTH = 1024;
const TYPE_MAX_LENGTH = 64;
/** That of an email, which is the longest thing to look for. */
const SEARCH_MAX_LENGTH = 254;

const cursor = z.optional(text(CURSOR_MAX_LENGTH));
const limit = (max: number) => z.optional(z.int().check(z.minimum(1), z.maximum(max)));
const date = z.optional(z.iso.datetime({ error: 'Use a date like 2030-01-31T12:00:00Z.' }));

/** `search`: the beginning of a username or an email, in any case. */
export const peopleInput = z.strictObject({
  search: z.optional(text(SEARCH_MAX_LENGTH).check(z.trim())),
  cursor,
  limit: limit(PEOPLE_PER_PAGE_MAX),
});
export type PeopleInput = z.infer<typeof peopleInput>;

export const personInput = z.strictObject({ id });

/** From `from`, and before `to`. */
export const auditInput = z.strictObject({
  userId: z.optional(id),
  type: z.optional(text(TYPE_MAX_LENGTH)),
  from: date,
  to: date,
  cursor,
  limit: limit(EVENTS_PER_PAGE_MAX),
});
export type AuditInput = z.infer<typeof auditInput>;

export const setRoleInput = z.strictObject({ id, role: z.enum(roles) });
export const setDisabledInput = z.strictObject({ id, disabled: z.boolean() });
