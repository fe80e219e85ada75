import { mkdtempSync, renameSync, rmSync, writeFileSync, readFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DatabaseUnavailable, openSqlite } from './sqlite.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-database-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('opening', () => {
  test('creates the file, its folder and its tables', () => {
    const path = join(folder, 'a', 'folder', 'app.db');
    const database = openSqlite(path);
    const tables = database.db.$client.prepare(`select name from sqlite_master where type = 'table'`).pluck().all();
    expect(tables).toEqual(expect.arrayContaining(['users', 'sessions']));
    database.close();
    expect(existsSync(path)).toBe(true);
  });

  test('sets what must not be left to defaults', () => {
    const { db, close } = openSqlite(join(folder, 'app.db'));
    const pragma = (name: string) => db.$client.pragma(name, { simple: true });
    expect(pragma('journal_mode')).toBe('wal');
    expect(pragma('synchronous')).toBe(2);
    expect(pragma('foreign_keys')).toBe(1);
    // SQLite waits on the thread that answers everybody.
    expect(pragma('busy_timeout')).toBeLessThanOrEqual(250);
    close();
  });

  test('keeps what is there, and applies no migration twice', () => {
    const path = join(folder, 'app.db');
    const first = openSqlite(path);
    first.db.$client.exec(`insert into users values ('anna', 'Anna', 'anna@example.com', 'hash', 0)`);
    first.close();
    const second = openSqlite(path);
    expect(second.db.$client.prepare('select id from users').pluck().all()).toEqual(['anna']);
    second.close();
  });

  test('can be done by two at once', () => {
    const path = join(folder, 'app.db');
    const both = [openSqlite(path), openSqlite(path)] as const;
    both[0].db.$client.exec(`insert into users values ('anna', 'Anna', 'anna@example.com', 'hash', 0)`);
    expect(both[1].db.$client.prepare('select count(*) from users').pluck().get()).toBe(1);
    for (const { close } of both) close();
  });

  test('refuses what is no database, and leaves it as it is', () => {
    const path = join(folder, 'notes.txt');
    const text = 'These are my notes, and they are not a database at all. '.repeat(100);
    writeFileSync(path, text);
    expect(() => openSqlite(path)).toThrow();
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  test('refuses a damaged file', () => {
    const path = join(folder, 'app.db');
    const database = openSqlite(path);
    const insert = database.db.$client.prepare(`insert into users values (?, ?, ?, ?, 0)`);
    for (let i = 0; i < 500; i++) insert.run(`id${i}`, `name${i}`, `${i}@example.com`, 'x'.repeat(60));
    database.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 8_192);
    writeFileSync(path, bytes);
    expect(() => openSqlite(path)).toThrow(/damaged|malformed/);
  });

  test('refuses a path that is a folder', () => {
    expect(() => openSqlite(folder)).toThrow();
  });
});

describe('the tables', () => {
  test('do not keep the sessions of somebody who was removed', () => {
    const { db, close } = openSqlite(':memory:');
    db.$client.exec(`
      insert into users values ('anna', 'Anna', 'anna@example.com', 'hash', 0);
      insert into sessions (id, user_id, generation, issued_at, proved, created_at, last_seen_at, expires_at)
        values ('session', 'anna', 1, 0, 0, 0, 0, 1);
      delete from users;
    `);
    expect(db.$client.prepare('select count(*) from sessions').pluck().get()).toBe(0);
    close();
  });

  test('have an index for purging and for all sessions of a person', () => {
    const { db, close } = openSqlite(':memory:');
    const plan = (query: string) => JSON.stringify(db.$client.prepare(`explain query plan ${query}`).all());
    expect(plan('select id from sessions where issued_at < 1 limit 10')).toContain('sessions_issued_at');
    expect(plan(`select id from sessions where user_id = 'anna'`)).toContain('sessions_user_id');
    expect(plan(`select id from users where lower(username) = 'anna'`)).toContain('users_username_unique');
    close();
  });
});

describe('relaxed', () => {
  test('waits for the disk again afterwards, also where it failed', () => {
    const { db, relaxed, close } = openSqlite(':memory:');
    const level = () => db.$client.pragma('synchronous', { simple: true });
    expect(relaxed(level)).toBe(1);
    expect(level()).toBe(2);
    expect(() =>
      relaxed(() => {
        throw new Error('in between');
      }),
    ).toThrow('in between');
    expect(level()).toBe(2);
    close();
  });
});

describe('a verb', () => {
  test('answers by a promise, whatever it does', async () => {
    const { verb, close } = openSqlite(':memory:');
    await expect(verb((a: number, b: number) => a + b)(1, 2)).resolves.toBe(3);
    close();
  });

  test('hands on a fault of ours as it is', async () => {
    const { db, verb, close } = openSqlite(':memory:');
    const typo = verb(() => db.$client.exec('selec'));
    await expect(typo()).rejects.toThrow('syntax error');
    await expect(typo()).rejects.not.toThrow(DatabaseUnavailable);
    const own = new TypeError('not a function');
    await expect(
      verb(() => {
        throw own;
      })(),
    ).rejects.toBe(own);
    close();
  });

  test('says that the database is unavailable where it is full, with what it said', async () => {
    const { db, verb, close } = openSqlite(join(folder, 'app.db'));
    const pages = db.$client.pragma('page_count', { simple: true });
    db.$client.pragma(`max_page_count = ${String(pages)}`);
    const fill = verb(() => {
      const insert = db.$client.prepare(`insert into users values (?, ?, ?, ?, 0)`);
      for (let i = 0; i < 500; i++) insert.run(`id${i}`, `name${i}`, `${i}@example.com`, 'x'.repeat(1_000));
    });
    const failed = fill();
    await expect(failed).rejects.toThrow(DatabaseUnavailable);
    await expect(failed).rejects.toMatchObject({ cause: { code: 'SQLITE_FULL' } });
    close();
  });

  // Was open once: What was confirmed after the file had been deleted was gone at the next start.
  test.each(['removed', 'replaced'])('confirms nothing once its file was %s', async (how) => {
    const path = join(folder, 'app.db');
    const { db, verb, close } = openSqlite(path);
    const write = verb(() => db.$client.exec(`insert into users values ('a', 'a', 'a', 'a', 0)`));
    renameSync(path, `${path}-kept`);
    if (how === 'replaced') writeFileSync(path, '');
    await expect(write()).rejects.toThrow(DatabaseUnavailable);
    expect(db.$client.prepare('select count(*) from users').pluck().get()).toBe(0);
    if (how === 'replaced') rmSync(path);
    renameSync(`${path}-kept`, path);
    await write();
    close();
  });

  test('says so, and soon, where another process holds the lock', async () => {
    const path = join(folder, 'app.db');
    const { db, verb, close } = openSqlite(path);
    const blocker = new Database(path);
    blocker.exec('BEGIN IMMEDIATE');
    const write = verb(() => db.$client.exec(`insert into users values ('a', 'a', 'a', 'a', 0)`));
    await expect(write()).rejects.toMatchObject({ name: 'DatabaseUnavailable', cause: { code: 'SQLITE_BUSY' } });
    blocker.exec('ROLLBACK');
    await write();
    blocker.close();
    close();
  });
});
