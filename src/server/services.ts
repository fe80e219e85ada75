import { createAccounts, type Accounts } from './auth/accounts.ts';
import { refreshCookies, type RefreshCookies } from './auth/cookies.ts';
import { createPasswords } from './auth/passwords.ts';
import { windowFor } from './auth/protocol.ts';
import { createSessions, type Sessions } from './auth/sessions.ts';
import { sqliteStore } from './auth/store.sqlite.ts';
import { createTokens } from './auth/tokens.ts';
import { openSqlite, type SqliteDatabase } from './database.sqlite.ts';
import type { Settings } from './env.ts';
import type { Logger } from './log.ts';

/** What the procedures work with, made once. A feature's own tables are reached through `db`. */
export interface Services extends AsyncDisposable {
  settings: Settings;
  log: Logger;
  /** Milliseconds since the epoch. */
  clock: () => number;
  db: SqliteDatabase['db'];
  accounts: Accounts;
  sessions: Sessions;
  cookies: RefreshCookies;
  /** Whether the database answers and the server is neither starting nor draining. */
  ready: () => Promise<boolean>;
  /** From here on `ready` says no. */
  drain: () => void;
  draining: () => boolean;
}

/** @throws where the database cannot be opened */
export function createServices(settings: Settings, log: Logger, clock: () => number = Date.now): Services {
  const database = openSqlite(settings.database.path);
  const store = sqliteStore(database);
  const passwords = createPasswords({
    cost: settings.bcryptCost,
    onBadHash: () => log.error('A stored password hash is malformed. Its owner cannot log in.'),
  });
  let draining = false;
  return {
    settings,
    log,
    clock,
    db: database.db,
    accounts: createAccounts({ store, passwords, passwordMinLength: settings.passwordMinLength, clock }),
    sessions: createSessions({
      store,
      tokens: createTokens(settings),
      policy: {
        refreshTokenLifetime: settings.refreshTokenLifetime,
        sessionMaxAge: settings.sessionMaxAge,
        window: windowFor(settings.refreshTokenLifetime),
      },
      accessTokenLifetime: settings.accessTokenLifetime,
      clock,
    }),
    cookies: refreshCookies(settings),
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
