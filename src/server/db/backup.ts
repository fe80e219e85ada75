import { existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { StartupError } from '../startup-error.ts';

/** Every page at once: the largest number that SQLite accepts. */
const ALL_PAGES = 0x7fff_ffff;

/**
 * Copies a SQLite database, also while a server writes to it: the copy is what was committed when it began. It is one file,
 * verified and on disk, and readable by its owner only, for it contains password hashes.
 * @param path of the database
 * @param target of the copy; its folder is created if missing
 * @returns the size of the copy in bytes
 * @throws StartupError where there is no database, or where the target exists
 */
export async function backUpSqlite(path: string, target: string): Promise<number> {
  if (!existsSync(path)) throw new StartupError(`There is no database at ${path}.`);
  if (existsSync(target)) throw new StartupError(`${target} exists, and a backup never overwrites a file.`);
  mkdirSync(dirname(target), { recursive: true });
  // Under another name, so that whatever is called like a backup is a complete one.
  const partial = `${target}.partial`;
  try {
    rmSync(partial, { force: true });
    writeFileSync(partial, '', { mode: 0o600 });
    await copyPages(path, partial);
    finish(partial);
    renameSync(partial, target);
  } finally {
    rmSync(partial, { force: true });
  }
  return statSync(target).size;
}

async function copyPages(path: string, target: string): Promise<void> {
  const source = new Database(path, { readonly: true, fileMustExist: true });
  try {
    // In one step, which reads one snapshot and blocks no writer. In several, SQLite would begin again after each write of the
    // server, and on a busy one never finish (https://sqlite.org/c3ref/backup_finish.html).
    await source.backup(target, { progress: () => ALL_PAGES });
  } finally {
    source.close();
  }
}

/** Makes the copy a single file without a write-ahead log, and verifies it. */
function finish(path: string): void {
  const copy = new Database(path, { fileMustExist: true });
  try {
    copy.pragma('synchronous = FULL');
    copy.pragma('journal_mode = DELETE');
    const state = copy.pragma('quick_check(1)', { simple: true });
    if (state !== 'ok') throw new Error(`The copy is damaged, and so may be the database: ${String(state)}`);
  } finally {
    copy.close();
  }
}
