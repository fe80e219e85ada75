import { statSync } from 'node:fs';
import { createAccounts } from './auth/accounts.ts';
import { createAudit } from './auth/audit.ts';
import { createDevices } from './auth/limits/known-devices.ts';
import { createLimiters, createThrottle } from './auth/limits/throttle.ts';
import { createPasswords } from './auth/passwords/hash.ts';
import { purge } from './auth/purge.ts';
import { tokenCookie } from './auth/sessions/cookies.ts';
import { reuseIntervalFor } from './auth/sessions/rotation.ts';
import { createNotifications, publishing } from './auth/sessions/notifications.ts';
import { createSessions } from './auth/sessions/sessions.ts';
import { createTokens } from './auth/sessions/tokens.ts';
import { sqliteAudit } from './auth/store/sqlite/audit.ts';
import { sqliteStore } from './auth/store/sqlite/auth-store.ts';
import { purgeLimits, sqliteLimiters } from './auth/store/sqlite/limits.ts';
import { openSqlite } from './db/sqlite.ts';
import type { Settings } from './env.ts';
import type { Logger } from './log.ts';

/** How long a page may take to show what another process has changed. */
const LOOK_INTERVAL_MS = 10_000;
const AUDIT_RETENTION_MS = 90 * 24 * 60 * 60_000;

export type Services = ReturnType<typeof createServices>;

/**
 * Everything that procedures work with, created once per server.
 * @param clock milliseconds since the epoch
 * @param lookIntervalMs how often at least a stream of session events looks for changes by other processes
 * @throws StartupError if the database cannot be opened
 */
export function createServices(
  settings: Settings,
  log: Logger,
  clock: () => number = Date.now,
  lookIntervalMs = LOOK_INTERVAL_MS,
) {
  const { path } = settings.database;
  // So that a mistyped path does not go unnoticed.
  if (!statSync(path, { throwIfNoEntry: false })?.size) log.info(`Creating database at ${path}`);
  const database = openSqlite(path);
  const notifications = createNotifications(lookIntervalMs);
  const store = publishing(sqliteStore(database), notifications);
  const durableLimiter = sqliteLimiters(database);
  const auditStore = sqliteAudit(database);
  const deleteOverLimits = purgeLimits(database);
  const tokens = createTokens(settings);
  const passwords = createPasswords({
    cost: settings.bcryptCost,
    onMalformedHash: () => log.error('A stored password hash is malformed; its owner cannot log in'),
  });
  const sessions = createSessions({
    store,
    tokens,
    policy: {
      refreshTokenLifetimeMs: settings.refreshTokenLifetimeMs,
      sessionMaxAgeMs: settings.sessionMaxAgeMs,
      reuseIntervalMs: reuseIntervalFor(settings.refreshTokenLifetimeMs),
    },
    accessTokenLifetimeMs: settings.accessTokenLifetimeMs,
    clock,
  });
  let draining = false;

  return {
    settings,
    log,
    clock,
    /** Drizzle, for a feature's own tables. Always `await` its queries: PostgreSQL's are promises, and SQLite's need not be. */
    db: database.db,
    accounts: createAccounts({ store, passwords, passwordMinLength: settings.passwordMinLength, clock }),
    sessions,
    /** A feature that changes a user by itself publishes it here, so that their pages show it at once. */
    notifications,
    /** Signs and verifies tokens. A feature adds its kind in sessions/tokens.ts. */
    tokens,
    /** The refresh token's. */
    cookie: tokenCookie('refreshToken', settings),
    devices: createDevices({ cookie: tokenCookie('device', settings), tokens, clock }),
    /** The kernel's own limits. */
    throttle: createThrottle(durableLimiter),
    /** A feature's own limits: `limiter('invitations', { points: 20, durationSeconds: 3600 })(ctx.user.id)`. */
    limiter: createLimiters(durableLimiter),
    audit: createAudit({ write: auditStore.write, log, clock }),

    /** Deletes expired sessions, audit events and counters. @returns the number of rows deleted */
    async purge(): Promise<number> {
      return (
        (await sessions.purge()) +
        (await purge((limit) => auditStore.purge(clock() - AUDIT_RETENTION_MS, limit))) +
        (await purge((limit) => deleteOverLimits(clock(), limit)))
      );
    },

    /** Whether to send requests here: the database answers, and the server is not draining. */
    async ready(): Promise<boolean> {
      if (draining) return false;
      try {
        await store.ping();
        return true;
      } catch (error) {
        log.error({ err: error }, 'The database is not available');
        return false;
      }
    },

    /** From here on `ready` answers false, and streams end. */
    drain(): void {
      draining = true;
      notifications.publishEverything();
    },
    draining: () => draining,

    async [Symbol.asyncDispose](): Promise<void> {
      await passwords.close();
      database.close();
    },
  };
}
