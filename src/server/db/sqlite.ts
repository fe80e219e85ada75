import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { inProject } from '../project.ts';
import { StartupError } from '../startup-error.ts';
import { DatabaseUnavailable } from './errors.ts';

const MIGRATIONS = inProject('drizzle/sqlite');
/** How long a statement waits for another process's lock. Short, because SQLite blocks the only thread while it waits. */
const BUSY_TIMEOUT_MS = 250;
/** The default, 2 MB, does not even hold the indexes of a hundred thousand sessions. Memory is taken as it is needed. */
const CACHE_KB = 64 * 1024;
/** How long migrating waits for another instance that is migrating. */
const MIGRATION_TIMEOUT_MS = 30_000;
/** In earlier versions a checkpoint that races with a writer can corrupt the file (https://sqlite.org/wal.html#walresetbug). */
const MIN_SQLITE_VERSION = '3.51.3';

export type SqliteDatabase = ReturnType<typeof openSqlite>;

/**
 * Opens a database: creates it where there never was one, verifies it and its settings, and applies the migrations.
 * @param path of the file, or `:memory:`
 * @throws StartupError where the file is not a database, is damaged, cannot be written, or has disappeared
 */
export function openSqlite(path: string) {
  try {
    return open(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartupError(`Cannot open the database ${path}: ${reason}`, { cause: error });
  }
}

function open(path: string) {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
  refuseToReplace(path);
  const client = new Database(path, { timeout: MIGRATION_TIMEOUT_MS });
  try {
    client.pragma('journal_mode = WAL');
    // NORMAL, the default of this build, lets a power cut undo a commit in WAL mode, such as the end of a session. Writes
    // that may be undone opt out with `withoutFsync`.
    client.pragma('synchronous = FULL');
    client.pragma('foreign_keys = ON');
    client.pragma(`cache_size = -${CACHE_KB}`);
    verify(client, path);
    const db = drizzle(client);
    migrateExclusively(path, () => migrate(db, { migrationsFolder: MIGRATIONS }));
    client.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    const checkFile = fileCheck(path);
    let durable = true;
    translateErrors(client, () => {
      if (durable) checkFile();
    });
    return {
      /** Every query through it throws DatabaseUnavailable where the database is to blame. */
      db,

      /**
       * Runs writes that a power cut may undo, without waiting for the disk. Not inside a transaction, where SQLite ignores
       * a change of `synchronous`.
       */
      withoutFsync<Result>(run: () => Result): Result {
        // `exec`, because `client.pragma` makes a statement for each: a tenth of a refresh.
        client.exec('PRAGMA synchronous = NORMAL');
        durable = false;
        try {
          return run();
        } finally {
          durable = true;
          client.exec('PRAGMA synchronous = FULL');
        }
      },

      /** @throws DatabaseUnavailable where the file is no longer the one that was opened */
      checkFile,

      close: () => void client.close(),
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

function verify(client: Database.Database, path: string): void {
  const expected = { journal_mode: path === ':memory:' ? 'memory' : 'wal', synchronous: 2, foreign_keys: 1 };
  for (const [pragma, value] of Object.entries(expected)) {
    const actual = client.pragma(pragma, { simple: true });
    if (actual !== value) throw new Error(`${pragma} is ${String(actual)} and should be ${value}`);
  }
  const version = client.prepare<[], { version: string }>('select sqlite_version() as version').get()?.version ?? '0';
  if (version.localeCompare(MIN_SQLITE_VERSION, 'en', { numeric: true }) < 0)
    throw new Error(`SQLite ${MIN_SQLITE_VERSION} or newer is required, this is ${version}`);
  const state = client.pragma('quick_check(1)', { simple: true });
  if (state !== 'ok') throw new Error(`the file is damaged (${String(state)}). Restore a backup`);
}

/**
 * Another database next to this one, for what cannot be kept in it: a lock, and the fact that this one has existed, for which
 * the file is no longer empty.
 */
const companionOf = (path: string) => `${path}-migrating`;

/**
 * Drizzle's migrator takes no lock, so two instances that start together would apply a migration twice. It opens its own
 * transaction, so the lock has to be in another file.
 */
function migrateExclusively(path: string, run: () => void): void {
  if (path === ':memory:') return run();
  const companion = new Database(companionOf(path), { timeout: MIGRATION_TIMEOUT_MS });
  try {
    companion.exec('BEGIN EXCLUSIVE');
    run();
    if (companion.pragma('user_version', { simple: true }) === 0) companion.exec('PRAGMA user_version = 1; COMMIT');
  } finally {
    companion.close();
  }
}

const isEmpty = (path: string) => !statSync(path, { throwIfNoEntry: false })?.size;

/** An empty database in the place of one that was lost would look like the loss of every account, and take in new ones. */
function refuseToReplace(path: string): void {
  const companion = companionOf(path);
  // In this order: a server that is creating the database has filled it before the companion.
  if (path === ':memory:' || isEmpty(companion) || !isEmpty(path)) return;
  throw new Error(
    `it was here before, and is gone. Restore a backup, or delete ${companion} to start with an empty one`,
  );
}

/** SQLite keeps working on a file that was deleted or replaced, and what it commits from then on is lost. */
function fileCheck(path: string): () => void {
  if (path === ':memory:') return () => {};
  const inode = () => statSync(path, { throwIfNoEntry: false })?.ino;
  const opened = inode();
  return () => {
    if (inode() !== opened)
      throw new DatabaseUnavailable(`The database file ${path} was removed or replaced. Restart the server.`);
  };
}

/**
 * Makes the driver throw DatabaseUnavailable, so that nobody else needs to know SQLite's codes.
 * @param beforeWrite may throw it as well
 */
function translateErrors(client: Database.Database, beforeWrite: () => void): void {
  const translated =
    <Args extends unknown[], Result>(run: (...args: Args) => Result) =>
    (...args: Args): Result => {
      try {
        return run(...args);
      } catch (error) {
        throw isOutage(error) ? new DatabaseUnavailable('The database is unavailable.', { cause: error }) : error;
      }
    };
  const { prepare, transaction } = client;
  Object.assign(client, {
    exec: translated(client.exec.bind(client)),
    pragma: translated(client.pragma.bind(client)),
    prepare: translated((source: string) => {
      const statement = prepare.call(client, source);
      const guarded = <Args extends unknown[], Result>(run: (...args: Args) => Result) =>
        translated((...args: Args): Result => {
          if (!statement.readonly) beforeWrite();
          return run.call(statement, ...args);
        });
      const { run, get, all } = statement;
      return Object.assign(statement, { run: guarded(run), get: guarded(get), all: guarded(all) });
    }),
    // A transaction also fails at its own BEGIN and COMMIT.
    transaction: translated((run: (...args: unknown[]) => unknown) => {
      const { default: plain, deferred, immediate, exclusive } = transaction.call(client, run);
      return Object.assign(translated(plain), {
        deferred: translated(deferred),
        immediate: translated(immediate),
        exclusive: translated(exclusive),
      });
    }),
  });
}

const OUTAGE_CODES = ['BUSY', 'LOCKED', 'FULL', 'IOERR', 'READONLY', 'CANTOPEN', 'CORRUPT', 'NOTADB', 'PROTOCOL'];

function isOutage(error: unknown): boolean {
  if (error instanceof Database.SqliteError)
    return OUTAGE_CODES.some((code) => error.code.startsWith(`SQLITE_${code}`));
  // The server has closed the database and is about to exit.
  return error instanceof TypeError && error.message === 'The database connection is not open';
}
