import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { StartupError } from '../startup-error.ts';

const MIGRATIONS = fileURLToPath(new URL('../../../drizzle/sqlite', import.meta.url));
/**
 * How long a statement waits for a lock of another process. In milliseconds. Short: SQLite waits on the one thread that
 * answers everybody.
 */
const BUSY_TIMEOUT = 250;
/** Migrating may wait for another instance that is doing it. In milliseconds. */
const MIGRATION_TIMEOUT = 30_000;
/** Before it, a checkpoint racing a writer could corrupt the file. */
const SQLITE_NEEDED = '3.51.3';

/** The database could not be used just now: locked, full, read-only, or gone. Nothing was changed. */
export class DatabaseUnavailable extends Error {
  override name = 'DatabaseUnavailable';
}

export type SqliteDatabase = ReturnType<typeof openSqlite>;

/**
 * Opens the database, creates it where there is none, checks its settings, and applies the migrations.
 * @param path of the file, or `:memory:`
 * @throws StartupError where the file is no database, is damaged, or cannot be written
 */
export function openSqlite(path: string) {
  try {
    return open(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartupError(`The database ${path} cannot be used: ${reason}`, { cause: error });
  }
}

function open(path: string) {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
  const client = new Database(path, { timeout: MIGRATION_TIMEOUT });
  try {
    // FULL: in WAL mode the default of this build, NORMAL, may undo a commit in a power cut, and with it the end of a
    // session. Only what says so runs with less: see `relaxed`.
    client.pragma('journal_mode = WAL');
    client.pragma('synchronous = FULL');
    client.pragma('foreign_keys = ON');
    check(client, path);
    const db = drizzle(client);
    migrateAlone(path, () => migrate(db, { migrationsFolder: MIGRATIONS }));
    client.pragma(`busy_timeout = ${BUSY_TIMEOUT}`);
    const isThere = presenceOf(path);
    return {
      db,

      /** Makes a synchronous function a verb: promise-returning, and rejecting as `guarded` throws. */
      verb:
        <Args extends unknown[], Result>(run: (...args: Args) => Result) =>
        async (...args: Args): Promise<Result> => {
          if (!isThere())
            throw new DatabaseUnavailable(`The file ${path} was removed or replaced: start the server anew.`);
          return guarded(() => run(...args));
        },

      /**
       * Runs what a power cut may undo without waiting for the disk. Never inside a transaction: there SQLite ignores the
       * change of `synchronous`.
       */
      relaxed<Result>(run: () => Result): Result {
        client.pragma('synchronous = NORMAL');
        try {
          return run();
        } finally {
          client.pragma('synchronous = FULL');
        }
      },

      /** Writes the WAL back into the file and closes it. */
      close: () => void client.close(),
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

function check(client: Database.Database, path: string): void {
  const expected = { journal_mode: path === ':memory:' ? 'memory' : 'wal', synchronous: 2, foreign_keys: 1 };
  for (const [pragma, value] of Object.entries(expected)) {
    const actual = client.pragma(pragma, { simple: true });
    if (actual !== value) throw new Error(`it runs with ${pragma}=${String(actual)} instead of ${value}`);
  }
  const version = client.prepare<[], { version: string }>('select sqlite_version() as version').get()?.version ?? '0';
  if (version.localeCompare(SQLITE_NEEDED, 'en', { numeric: true }) < 0)
    throw new Error(`SQLite ${SQLITE_NEEDED} or newer is needed, and this is ${version}`);
  const state = client.pragma('quick_check(1)', { simple: true });
  if (state !== 'ok') throw new Error(`it is damaged (${String(state)}). Restore a backup`);
}

/**
 * Drizzle's migrator takes no lock, so two instances that start at once would apply the same migration twice. It also
 * begins its own transaction, so the lock cannot be one in the same file: it is that of an empty database beside it.
 */
function migrateAlone(path: string, run: () => void): void {
  if (path === ':memory:') return run();
  const lock = new Database(`${path}-migrating`, { timeout: MIGRATION_TIMEOUT });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    run();
  } finally {
    lock.close();
  }
}

/**
 * Whether the file is still the one that was opened. SQLite goes on with one that was deleted, and whatever it confirms from
 * then on is lost.
 */
function presenceOf(path: string): () => boolean {
  if (path === ':memory:') return () => true;
  const { ino } = statSync(path);
  return () => {
    try {
      return statSync(path).ino === ino;
    } catch {
      // Gone, or out of reach: the folder may not be entered any more.
      return false;
    }
  };
}

/** @throws DatabaseUnavailable where the database, not the statement, is at fault */
export function guarded<Result>(run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    throw isOutage(error) ? new DatabaseUnavailable('The database is not available.', { cause: error }) : error;
  }
}

const OUTAGES = ['BUSY', 'LOCKED', 'FULL', 'IOERR', 'READONLY', 'CANTOPEN', 'CORRUPT', 'NOTADB', 'PROTOCOL'];

/** Whether the database is at fault, and not the statement. */
export function isOutage(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof DatabaseUnavailable) return true;
    if (cause instanceof Database.SqliteError && OUTAGES.some((code) => cause.code.startsWith(`SQLITE_${code}`)))
      return true;
    // The connection was closed: the server is shutting down.
    if (cause instanceof TypeError && cause.message === 'The database connection is not open') return true;
  }
  return false;
}
