import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

/** Times are milliseconds since the epoch. */
const time = (name: string) => integer(name, { mode: 'number' });

export const users = sqliteTable(
  'users',
  {
    id: text('id').primaryKey(),
    username: text('username').notNull(),
    email: text('email').notNull(),
    passwordHash: text('password_hash').notNull(),
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
    userId: text('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    generation: integer('generation').notNull(),
    issuedAt: time('issued_at').notNull(),
    confirmed: integer('confirmed', { mode: 'boolean' }).notNull(),
    previousIssuedAt: time('previous_issued_at'),
    createdAt: time('created_at').notNull(),
    lastSeenAt: time('last_seen_at').notNull(),
    expiresAt: time('expires_at').notNull(),
    endedAt: time('ended_at'),
    endReason: text('end_reason', { enum: ['revoked', 'reused'] }),
    userAgent: text('user_agent'),
    ip: text('ip'),
  },
  (table) => [
    // For purging, and for finding a user's sessions.
    index('sessions_issued_at').on(table.issuedAt),
    index('sessions_user_id').on(table.userId),
  ],
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
    sessionId: text('session_id'),
    ip: text('ip'),
    userAgent: text('user_agent'),
    detail: text('detail'),
  },
  (table) => [index('audit_events_at').on(table.at), index('audit_events_user_id').on(table.userId)],
);
