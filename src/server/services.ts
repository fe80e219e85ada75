import { statSync } from 'node:fs';
import { createAccounts, type Accounts } from './auth/accounts.ts';
import { createAudit, type Audit } from './auth/audit.ts';
import { sqliteAudit } from './auth/store/sqlite/audit.ts';
import { tokenCookie, type TokenCookie } from './auth/sessions/cookies.ts';
import { createDevices, type Devices } from './auth/limits/known-devices.ts';
import { createPasswords } from './auth/passwords/hash.ts';
import { windowFor } from './auth/sessions/rotation.ts';
import { purge } from './auth/purge.ts';
import { createSessions, type Sessions } from './auth/sessions/sessions.ts';
import { sqliteStore } from './auth/store/sqlite/auth-store.ts';
import { createThrottle, type Throttle } from './auth/limits/throttle.ts';
import { purgeLimits, sqliteLimiters } from './auth/store/sqlite/limits.ts';
import { createTokens } from './auth/sessions/tokens.ts';
import { openSqlite, type SqliteDatabase } from './db/sqlite.ts';
import type { Settings } from './env.ts';
import type { Logger } from './log.ts';

/** How long audit events are kept. In milliseconds. */
const AUDIT_RETENTION = 90 * 24 * 60 * 60_000;

/** What the procedures work with, made once. A feature's own tables are reached through `db`. */
export interface Services extends AsyncDisposable {
  settings: Settings;
  log: Logger;
  /** Milliseconds since the epoch. */
  clock: () => number;
  db: SqliteDatabase['db'];
  accounts: Accounts;
  sessions: Sessions;
  /** Of the refresh token. */
  cookie: TokenCookie;
  devices: Devices;
  throttle: Throttle;
  audit: Audit;
  /** Removes what nobody needs any more. @returns how many rows */
  purge: () => Promise<number>;
  /** Whether the database answers and the server is not draining. */
  ready: () => Promise<boolean>;
  /** From here on `ready` says no. */
  drain: () => void;
  draining: () => boolean;
}

/** @throws where the database cannot be opened */
export function createServices(settings: Settings, log: Logger, clock: () => number = Date.now): Services {
  const { path } = settings.database;
  // Said, because a path that was mistyped makes one too.
  if (!statSync(path, { throwIfNoEntry: false })?.size) log.info({ path }, 'There is no database yet: making one.');
  const database = openSqlite(path);
  const store = sqliteStore(database);
  const tokens = createTokens(settings);
  const passwords = createPasswords({
    cost: settings.bcryptCost,
    onBadHash: () => log.error('A stored password hash is malformed. Its owner cannot log in.'),
  });
  const sessions = createSessions({
    store,
    tokens,
    policy: {
      refreshTokenLifetime: settings.refreshTokenLifetime,
      sessionMaxAge: settings.sessionMaxAge,
      window: windowFor(settings.refreshTokenLifetime),
    },
    accessTokenLifetime: settings.accessTokenLifetime,
    clock,
  });
  const events = sqliteAudit(database);
  const limits = purgeLimits(database);
  let draining = false;

  return {
    settings,
    log,
    clock,
    db: database.db,
    accounts: createAccounts({ store, passwords, passwordMinLength: settings.passwordMinLength, clock }),
    sessions,
    cookie: tokenCookie('refreshToken', settings),
    devices: createDevices({ cookie: tokenCookie('device', settings), tokens, clock }),
    throttle: createThrottle(sqliteLimiters(database)),
    audit: createAudit({ write: events.write, log, clock }),
    async purge() {
      const removed = [
        await sessions.purge(),
        await purge((limit) => events.purge(clock() - AUDIT_RETENTION, limit)),
        await purge((limit) => limits(clock(), limit)),
      ];
      return removed.reduce((total, count) => total + count);
    },
    async ready() {
      if (draining) return false;
      try {
        await store.ping();
        return true;
      } catch (error) {
        log.error({ err: error }, 'The database does not answer.');
        return false;
      }
    },
    drain: () => {
      draining = true;
    },
    draining: () => draining,
    async [Symbol.asyncDispose]() {
      await passwords.close();
      database.close();
    },
  };
}
