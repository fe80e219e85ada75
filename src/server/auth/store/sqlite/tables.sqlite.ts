import { getTableColumns, sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { roles } from '../../../../shared/auth.ts';

/** Times are milliseconds since the epoch. */
const time = (name: string) => integer(name, { mode: 'number' });

export const users = sqliteTable(
  'users',
  {
    id: text('id').primaryKey(),
    username: text('username').notNull(),
    email: text('email').notNull(),
    emailVerifiedAt: time('email_verified_at'),
    passwordHash: text('password_hash').notNull(),
    passwordChangedAt: time('password_changed_at').notNull(),
    role: text('role', { enum: roles }).notNull(),
    disabledAt: time('disabled_at'),
    createdAt: time('created_at').notNull(),
  },
  (table) => [
    // Unique regardless of case. Usernames are ASCII, which is all that SQLite's lower() folds.
    uniqueIndex('users_username_unique').on(sql`lower(${table.username})`),
    uniqueIndex('users_email_unique').on(table.email),
  ],
);

/** One row per session, updated by each rotation. No part of any token is stored: a copy of the database logs nobody in. */
export const sessions = sqliteTable(
  'sessions',
  {
    id: text('id').primaryKey(),
    // No foreign key: the ended sessions of a deleted account tell its other browsers why they were logged out.
    userId: text('user_id').notNull(),
    generation: integer('generation').notNull(),
    issuedAt: time('issued_at').notNull(),
    confirmed: integer('confirmed', { mode: 'boolean' }).notNull(),
    previousIssuedAt: time('previous_issued_at'),
    createdAt: time('created_at').notNull(),
    lastSeenAt: time('last_seen_at').notNull(),
    authenticatedAt: time('authenticated_at').notNull(),
    remember: integer('remember', { mode: 'boolean' }).notNull(),
    expiresAt: time('expires_at').notNull(),
    endedAt: time('ended_at'),
    endReason: text('end_reason', { enum: ['revoked', 'reused'] }),
    userAgent: text('user_agent'),
    ip: text('ip'),
    // For purging: at most `issuedAt`, which it follows only when purging looks at it. An index on `issuedAt` itself
    // would have to be changed by every rotation, which would make refreshing an eighth slower.
    indexedIssuedAt: time('indexed_issued_at').notNull().default(0),
  },
  (table) => [
    index('sessions_indexed_issued_at').on(table.indexedIssuedAt),
    index('sessions_user_id').on(table.userId),
  ],
);
const { indexedIssuedAt: _, ...columns } = getTableColumns(sessions);
/** Those of a SessionRow. */
export const sessionColumns = columns;

/** Single-use links. The token in a mailed link names a row and is signed; no part of it is stored. See auth/links.ts. */
export const links = sqliteTable(
  'links',
  {
    id: text('id').primaryKey(),
    purpose: text('purpose').notNull(),
    userId: text('user_id').references(() => users.id, { onDelete: 'cascade' }),
    data: text('data', { mode: 'json' }).$type<Record<string, string>>().notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at').notNull(),
  },
  (table) => [
    // A new link replaces the one before.
    uniqueIndex('links_user_purpose_unique').on(table.userId, table.purpose),
    index('links_expires_at').on(table.expiresAt),
  ],
);

/** Mail to be sent, written in the transaction that causes it and deleted once it has been handed over. */
export const outbox = sqliteTable(
  'outbox',
  {
    id: text('id').primaryKey(),
    // No foreign key: some mail outlives the account.
    userId: text('user_id'),
    recipient: text('recipient').notNull(),
    template: text('template').notNull(),
    data: text('data', { mode: 'json' }).$type<Record<string, string>>().notNull(),
    linkId: text('link_id'),
    createdAt: time('created_at').notNull(),
    attempts: integer('attempts').notNull(),
    nextAttemptAt: time('next_attempt_at').notNull(),
  },
  (table) => [index('outbox_next_attempt_at').on(table.nextAttemptAt), index('outbox_user_id').on(table.userId)],
);

/** Counters of rate-limiter-flexible, which dictates the columns. */
export const rateLimits = sqliteTable(
  'rate_limits',
  {
    key: text('key').primaryKey(),
    points: integer('points').notNull().default(0),
    expire: time('expire'),
  },
  (table) => [index('rate_limits_expire').on(table.expire)],
);

/** What happened to accounts and sessions. No foreign keys: an event outlives both. */
export const auditEvents = sqliteTable(
  'audit_events',
  {
    id: integer('id').primaryKey({ autoIncrement: true }),
    at: time('at').notNull(),
    type: text('type').notNull(),
    userId: text('user_id'),
    // Who did it, where that is not the user.
    actorId: text('actor_id'),
    sessionId: text('session_id'),
    ip: text('ip'),
    userAgent: text('user_agent'),
    detail: text('detail'),
  },
  (table) => [
    index('audit_events_at').on(table.at, table.id),
    index('audit_events_type_at').on(table.type, table.at, table.id),
    index('audit_events_user_at').on(table.userId, table.at, table.id),
    index('audit_events_user_id').on(table.userId, table.id),
    // Few events have one.
    index('audit_events_actor_id')
      .on(table.actorId)
      .where(sql`${table.actorId} is not null`),
  ],
);
