import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StartupError } from '../startup-error.ts';
import { backUpSqlite } from './backup.ts';
import { openSqlite } from './sqlite.ts';

let folder: string;
let path: string;
let target: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-'));
  path = join(folder, 'app.db');
  target = join(folder, 'backups/copy.db');
});
afterEach(() => rmSync(folder, { recursive: true }));

function addEvents(client: Database.Database, count: number): void {
  const insert = client.prepare('insert into audit_events (at, type, detail) values (0, ?, ?)');
  client.transaction(() => {
    for (let number = 0; number < count; number++) insert.run('a', 'x'.repeat(2_000));
  })();
}

/** Overwrites the header of the page that begins there. */
function damage(file: string, offset: number): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(64, 0xff), 0, 64, offset);
  closeSync(descriptor);
}

const countIn = (file: string) => {
  const copy = new Database(file, { readonly: true });
  const count = copy.prepare('select count(*) from audit_events').pluck().get();
  copy.close();
  return count;
};

describe('a backup', () => {
  it('has what was committed, also what is still in the write-ahead log, in one private file', async () => {
    const server = openSqlite(path);
    addEvents(server.db.$client, 10);
    server.db.$client.exec(`begin; insert into audit_events (at, type) values (0, 'not committed')`);
    const bytes = await backUpSqlite(path, target);
    server.close();
    expect(countIn(target)).toBe(10);
    expect(readdirSync(join(folder, 'backups'))).toEqual(['copy.db']);
    expect(statSync(target)).toMatchObject({ size: bytes, mode: 0o100600 });
    openSqlite(target).close();
  });

  it('finishes while a server writes without pause', async () => {
    const server = openSqlite(path);
    // More pages than SQLite's driver copies in one step unless told otherwise.
    addEvents(server.db.$client, 500);
    const backup = { done: false, finished: backUpSqlite(path, target).finally(() => (backup.done = true)) };
    let writes = 0;
    while (!backup.done && writes < 1_000) {
      addEvents(server.db.$client, 1);
      writes++;
      await setImmediate();
    }
    // Once nobody writes any more, every way of copying finishes.
    expect(backup.done).toBe(true);
    await backup.finished;
    server.close();
    expect(countIn(target)).toBeGreaterThanOrEqual(500);
  });

  it('never overwrites a file', async () => {
    openSqlite(path).close();
    const taken = join(folder, 'taken.db');
    writeFileSync(taken, 'something else');
    const failed = await backUpSqlite(path, taken).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(StartupError);
    expect(statSync(taken).size).toBe('something else'.length);
  });

  it('creates nothing where there is no database', async () => {
    await expect(backUpSqlite(path, target)).rejects.toThrow('There is no database at');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves nothing that looks like a backup where the database is damaged', async () => {
    const { db, close } = openSqlite(path);
    addEvents(db.$client, 100);
    close();
    const database = new Database(path);
    const root = database.prepare(`select rootpage from sqlite_schema where name = 'audit_events'`).pluck().get();
    const size = database.pragma('page_size', { simple: true });
    database.close();
    damage(path, (Number(root) - 1) * Number(size));
    await expect(backUpSqlite(path, target)).rejects.toThrow();
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(join(folder, 'backups'))).toEqual([]);
  });
});
