import { getTableColumns, sql } from 'drizzle-orm';
import {
  bigint,
  bigserial,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { roles } from '../../../../shared/auth.ts';

// The same tables as in ../sqlite/tables.sqlite.ts, which explains them; tables.test.ts holds them against each other.

/** Times are milliseconds since the epoch, by the servers' clock. */
const time = (name: string) => bigint(name, { mode: 'number' });

/** Ordered by bytes, so that one index serves equality and the search by prefix, which other collations cannot. */
const asciiText = customType<{ data: string }>({ dataType: () => 'text collate "C"' });

export const users = pgTable(
  'users',
  {
    id: text('id').primaryKey(),
    username: text('username').notNull(),
    email: asciiText('email').notNull(),
    emailVerifiedAt: time('email_verified_at'),
    passwordHash: text('password_hash').notNull(),
    passwordChangedAt: time('password_changed_at').notNull(),
    role: text('role', { enum: roles }).notNull(),
    disabledAt: time('disabled_at'),
    createdAt: time('created_at').notNull(),
  },
  (table) => [
    // The collation, because lower() of a Turkish database turns I into ı.
    uniqueIndex('users_username_unique').on(sql`lower(${table.username} collate "C")`),
    uniqueIndex('users_email_unique').on(table.email),
  ],
);

export const sessions = pgTable(
  'sessions',
  {
    id: text('id').primaryKey(),
    userId: text('user_id').notNull(),
    generation: integer('generation').notNull(),
    issuedAt: time('issued_at').notNull(),
    confirmed: boolean('confirmed').notNull(),
    previousIssuedAt: time('previous_issued_at'),
    createdAt: time('created_at').notNull(),
    lastSeenAt: time('last_seen_at').notNull(),
    authenticatedAt: time('authenticated_at').notNull(),
    remember: boolean('remember').notNull(),
    expiresAt: time('expires_at').notNull(),
    endedAt: time('ended_at'),
    endReason: text('end_reason', { enum: ['revoked', 'reused'] }),
    userAgent: text('user_agent'),
    ip: text('ip'),
    indexedIssuedAt: time('indexed_issued_at').notNull().default(0),
  },
  (table) => [
    index('sessions_indexed_issued_at').on(table.indexedIssuedAt),
    index('sessions_user_id').on(table.userId),
  ],
);
const { indexedIssuedAt: _, ...columns } = getTableColumns(sessions);
export const sessionColumns = columns;

export const links = pgTable(
  'links',
  {
    id: text('id').primaryKey(),
    purpose: text('purpose').notNull(),
    userId: text('user_id').references(() => users.id, { onDelete: 'cascade' }),
    data: jsonb('data').$type<Record<string, string>>().notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at').notNull(),
  },
  (table) => [
    uniqueIndex('links_user_purpose_unique').on(table.userId, table.purpose),
    index('links_expires_at').on(table.expiresAt),
  ],
);

export const outbox = pgTable(
  'outbox',
  {
    id: text('id').primaryKey(),
    userId: text('user_id'),
    recipient: text('recipient').notNull(),
    template: text('template').notNull(),
    data: jsonb('data').$type<Record<string, string>>().notNull(),
    linkId: text('link_id'),
    createdAt: time('created_at').notNull(),
    attempts: integer('attempts').notNull(),
    nextAttemptAt: time('next_attempt_at').notNull(),
  },
  (table) => [index('outbox_next_attempt_at').on(table.nextAttemptAt), index('outbox_user_id').on(table.userId)],
);

export const rateLimits = pgTable(
  'rate_limits',
  {
    key: text('key').primaryKey(),
    points: integer('points').notNull().default(0),
    expire: time('expire'),
  },
  (table) => [index('rate_limits_expire').on(table.expire)],
);

export const auditEvents = pgTable(
  'audit_events',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    at: time('at').notNull(),
    type: text('type').notNull(),
    userId: text('user_id'),
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
    index('audit_events_actor_id')
      .on(table.actorId)
      .where(sql`${table.actorId} is not null`),
  ],
);
