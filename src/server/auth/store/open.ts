import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { Settings } from '../../env.ts';
import type { Logger } from '../../log.ts';
import type { AuditRow, NamedAuditRow, StoredAuditEvent } from '../audit.ts';
import type { DurableLimiter } from '../limits/throttle.ts';
import type { Change } from '../sessions/notifications.ts';
import type { OutboxStore } from '../../mail/outbox-store.ts';
import type { AuthStore } from './auth-store.ts';
import type { PeopleStore } from './people.ts';

/** Which events a page has. Times in milliseconds since the epoch: from `from`, and before `to`. */
export interface AuditRange {
  userId?: string | undefined;
  type?: string | undefined;
  from?: number | undefined;
  to?: number | undefined;
  /** The last event of the page before. */
  after?: { at: number; id: number } | undefined;
  limit: number;
}

export interface AuditStore {
  write(event: StoredAuditEvent): Promise<void>;
  /** At most `limit` events about a user with an `id` greater than `after`, oldest first. */
  ofUser(userId: string, after: number, limit: number): Promise<AuditRow[]>;
  /** The newest events first, each with the names that its people have today. */
  page(range: AuditRange): Promise<NamedAuditRow[]>;
  /** Deletes at most `limit` events with `at` before `before`. @returns the number of rows deleted */
  purge(before: number, limit: number): Promise<number>;
}

/** What keeps the data of the kernel, on whichever database. */
export interface Stores {
  /** For a feature's own queries. */
  db: Database;
  store: AuthStore;
  auditStore: AuditStore;
  people: PeopleStore;
  durableLimiter: DurableLimiter;
  outbox: OutboxStore;
  /** Deletes at most `limit` counters that expired before `now`. @returns the number of rows deleted */
  purgeLimits(now: number, limit: number): Promise<number>;
  /** Runs something on one server at a time. @returns undefined where another server is at it */
  exclusively<Result>(run: () => Promise<Result>): Promise<Result | undefined>;
  /** Tells the other servers of a change, if it can: one that is not told finds out by itself, later. */
  tellOthers(change: Change): Promise<void>;
  /**
   * Listens to what other servers tell.
   * @param listener called without a change where anything may have changed
   */
  onSessionChange(listener: (change?: Change) => void): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param onMail called when mail has been written to the outbox; if undefined, none is written
 * @throws StartupError if the database cannot be opened
 */
export function openStores(database: Settings['database'], log: Logger, onMail?: () => void): Promise<Stores> {
  return database.kind === 'sqlite'
    ? openOnSqlite(database.path, log, onMail)
    : openOnPostgres(database.url, log, onMail);
}

// A database's driver, Drizzle's included, is loaded only where it is used: it costs memory, and time at each start.

/** The compiler knows of one engine, the one that the app's features are written for: see `Database`. */
const asDatabase = (db: unknown) => db as Database;

async function openOnSqlite(path: string, log: Logger, onMail?: () => void): Promise<Stores> {
  const [
    { openSqlite },
    { sqliteStore },
    { sqliteAudit },
    { sqlitePeople },
    { sqliteLimiters, purgeLimits },
    { sqliteOutbox },
  ] = await Promise.all([
    import('../../db/sqlite.ts'),
    import('./sqlite/auth-store.ts'),
    import('./sqlite/audit.ts'),
    import('./sqlite/people.ts'),
    import('./sqlite/limits.ts'),
    import('./sqlite/outbox.ts'),
  ]);
  // So that a mistyped path does not go unnoticed.
  if (!statSync(path, { throwIfNoEntry: false })?.size) log.info(`Creating database at ${path}`);
  const database = openSqlite(path);
  return {
    db: asDatabase(database.db),
    store: sqliteStore(database, onMail),
    auditStore: sqliteAudit(database),
    people: sqlitePeople(database),
    outbox: sqliteOutbox(database),
    durableLimiter: sqliteLimiters(database),
    purgeLimits: purgeLimits(database),
    // Servers that share a file find each other's changes when they look.
    exclusively: (run) => run(),
    async tellOthers() {},
    async onSessionChange() {},
    close: async () => database.close(),
  };
}

/** The channel of LISTEN and NOTIFY. */
const CHANNEL = 'latchkey';

const messageSchema = z.object({
  from: z.string(),
  change: z.union([z.object({ sessionId: z.string() }), z.object({ userId: z.string() })]),
});

/** @returns undefined where it cannot be understood: any role of the database may notify, and a later version of the app, too */
function readMessage(payload: string): z.infer<typeof messageSchema> | undefined {
  try {
    return messageSchema.safeParse(JSON.parse(payload)).data;
  } catch {
    return undefined;
  }
}

async function openOnPostgres(url: string, log: Logger, onMail?: () => void): Promise<Stores> {
  const [
    { openPostgres },
    { listen },
    { postgresStore },
    { postgresAudit },
    { postgresPeople },
    { postgresLimiters, purgeLimits },
    { postgresOutbox },
  ] = await Promise.all([
    import('../../db/postgres.ts'),
    import('../../db/postgres-listen.ts'),
    import('./postgres/auth-store.ts'),
    import('./postgres/audit.ts'),
    import('./postgres/people.ts'),
    import('./postgres/limits.ts'),
    import('./postgres/outbox.ts'),
  ]);
  const database = await openPostgres(url, (error) => log.warn({ err: error }, 'A database connection broke'));
  const { $client: pool } = database.db;
  const closers: (() => void)[] = [];
  /** This server, which hears its own notifications, too. */
  const self = randomUUID();
  return {
    db: asDatabase(database.db),
    store: postgresStore(database, onMail),
    auditStore: postgresAudit(database),
    people: postgresPeople(database),
    outbox: postgresOutbox(database),
    durableLimiter: postgresLimiters(database),
    purgeLimits: purgeLimits(database),
    exclusively: database.exclusively,
    async tellOthers(change) {
      // Not in the transaction of the change: commits that notify wait for each other, and CockroachDB cannot notify.
      await pool
        .query({
          name: 'notify',
          text: 'select pg_notify($1, $2)',
          values: [CHANNEL, JSON.stringify({ from: self, change })],
        })
        .catch((error: unknown) => log.debug({ err: error }, 'Could not notify the other servers'));
    },
    async onSessionChange(listener) {
      const onMessage = (payload: string) => {
        const message = readMessage(payload);
        if (message?.from !== self) listener(message?.change);
      };
      closers.push(await listen(url, CHANNEL, onMessage, () => listener()));
    },
    async close() {
      for (const close of closers) close();
      await database.close();
    },
  };
}
