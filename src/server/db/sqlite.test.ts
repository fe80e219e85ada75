import { mkdtempSync, rmSync, writeFileSync, readFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { sql } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DatabaseUnavailable, isDatabaseUnavailable } from './errors.ts';
import { openSqlite, type SqliteDatabase } from './sqlite.ts';
import { users } from '../auth/store/sqlite/tables.sqlite.ts';

type Database = SqliteDatabase['db'];

const INSERT_USER = 'insert into users (id, username, email, password_hash, password_changed_at, role, created_at)';
const INSERT_ANNA = `${INSERT_USER} values ('anna', 'Anna', 'anna@example.com', 'hash', 0, 'user', 0)`;
const person = {
  id: 'a',
  username: 'a',
  email: 'a',
  passwordHash: 'a',
  passwordChangedAt: 0,
  role: 'user',
  createdAt: 0,
} as const;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-database-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('openSqlite', () => {
  it('creates the file, its folder and its tables', () => {
    const path = join(folder, 'a', 'folder', 'app.db');
    const database = openSqlite(path);
    const tables = database.db.$client.prepare(`select name from sqlite_master where type = 'table'`).pluck().all();
    expect(tables).toEqual(expect.arrayContaining(['users', 'sessions']));
    database.close();
    expect(existsSync(path)).toBe(true);
  });

  it('sets the pragmas', () => {
    const { db, close } = openSqlite(join(folder, 'app.db'));
    const pragma = (name: string) => db.$client.pragma(name, { simple: true });
    expect(pragma('journal_mode')).toBe('wal');
    expect(pragma('synchronous')).toBe(2);
    expect(pragma('foreign_keys')).toBe(1);
    // SQLite blocks the only thread while it waits.
    expect(pragma('busy_timeout')).toBeLessThanOrEqual(250);
    close();
  });

  it('keeps existing data, and applies no migration twice', () => {
    const path = join(folder, 'app.db');
    const first = openSqlite(path);
    first.db.$client.exec(INSERT_ANNA);
    first.close();
    const second = openSqlite(path);
    expect(second.db.$client.prepare('select id from users').pluck().all()).toEqual(['anna']);
    second.close();
  });

  it('opens a file twice', () => {
    const path = join(folder, 'app.db');
    const both = [openSqlite(path), openSqlite(path)] as const;
    both[0].db.$client.exec(INSERT_ANNA);
    expect(both[1].db.$client.prepare('select count(*) from users').pluck().get()).toBe(1);
    for (const { close } of both) close();
  });

  it('refuses a file that is not a database, and leaves it unchanged', () => {
    const path = join(folder, 'notes.txt');
    const text = 'These are my notes, and not a database at all. '.repeat(100);
    writeFileSync(path, text);
    expect(() => openSqlite(path)).toThrow();
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('refuses a damaged file', () => {
    const path = join(folder, 'app.db');
    const database = openSqlite(path);
    const insert = database.db.$client.prepare(`${INSERT_USER} values (?, ?, ?, ?, 0, 'user', 0)`);
    for (let i = 0; i < 500; i++) insert.run(`id${i}`, `name${i}`, `${i}@example.com`, 'x'.repeat(60));
    database.close();
    const bytes = readFileSync(path);
    bytes.fill(0xa5, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 8_192);
    writeFileSync(path, bytes);
    expect(() => openSqlite(path)).toThrow(/damaged|malformed/);
  });

  it('refuses a folder', () => {
    expect(() => openSqlite(folder)).toThrow();
  });
});

describe('the tables', () => {
  it('delete the links of a deleted user, and keep the sessions', () => {
    const { db, close } = openSqlite(':memory:');
    db.$client.exec(`
      ${INSERT_ANNA};
      insert into links values ('link', 'any', 'anna', '{}', 0, 1);
      insert into sessions (id, user_id, generation, issued_at, confirmed, created_at, last_seen_at, authenticated_at,
        remember, expires_at) values ('session', 'anna', 1, 0, 0, 0, 0, 0, 1, 1);
      delete from users;
    `);
    const idsOf = (table: string) => db.$client.prepare(`select id from ${table}`).pluck().all();
    expect([idsOf('links'), idsOf('sessions')]).toEqual([[], ['session']]);
    close();
  });

  it('have an index for purging, for the sessions of a user and for usernames', () => {
    const { db, close } = openSqlite(':memory:');
    const plan = (query: string) => JSON.stringify(db.$client.prepare(`explain query plan ${query}`).all());
    expect(plan('select id from sessions where indexed_issued_at < 1 limit 10')).toContain(
      'sessions_indexed_issued_at',
    );
    expect(plan(`select id from sessions where user_id = 'anna'`)).toContain('sessions_user_id');
    expect(plan(`select id from users where lower(username) = 'anna'`)).toContain('users_username_unique');
    close();
  });
});

describe('withoutFsync', () => {
  it('restores synchronous = FULL, also after an error', () => {
    const { db, withoutFsync, close } = openSqlite(':memory:');
    const level = () => db.$client.pragma('synchronous', { simple: true });
    expect(withoutFsync(level)).toBe(1);
    expect(level()).toBe(2);
    expect(() =>
      withoutFsync(() => {
        throw new Error('in between');
      }),
    ).toThrow('in between');
    expect(level()).toBe(2);
    close();
  });
});

const addUser = sql.raw(`${INSERT_USER} values ('a', 'a', 'a', 'a', 0, 'user', 0)`);

describe('a query', () => {
  it('rethrows an error that is not the fault of the database', () => {
    const { db, close } = openSqlite(':memory:');
    expect(() => db.$client.exec('selec')).toThrow('syntax error');
    expect(() => db.$client.exec('selec')).not.toThrow(DatabaseUnavailable);
    const bug = new TypeError('not a function');
    const run = () =>
      db.transaction(() => {
        throw bug;
      });
    expect(run).toThrow(bug);
    close();
  });

  it('throws DatabaseUnavailable with its cause when the disk is full', () => {
    const { db, close } = openSqlite(join(folder, 'app.db'));
    const pages = db.$client.pragma('page_count', { simple: true });
    db.$client.pragma(`max_page_count = ${String(pages)}`);
    const fill = () => {
      for (let i = 0; i < 500; i++)
        db.insert(users)
          .values({ ...person, id: `${i}`, username: `${i}`, email: `${i}`, passwordHash: 'x'.repeat(1_000) })
          .run();
    };
    const cause = expect.objectContaining({ code: 'SQLITE_FULL' });
    expect(fill).toThrow(expect.objectContaining({ name: 'DatabaseUnavailable', cause }));
    close();
  });

  it.each<[string, (db: Database) => unknown]>([
    ['a statement', (db) => db.run(addUser)],
    ['a typed statement', (db) => db.insert(users).values(person).run()],
    ['a prepared statement', (db) => db.insert(users).values(person).prepare().run()],
    ['a statement with an answer', (db) => db.insert(users).values(person).returning().get()],
    ['a statement with several answers', (db) => db.insert(users).values(person).returning().all()],
    ['a transaction', (db) => db.transaction((tx) => tx.run(addUser))],
    ['a transaction that begins with a write', (db) => db.transaction(() => {}, { behavior: 'immediate' })],
    ['an awaited query', (db) => db.insert(users).values(person)],
  ])('throws DatabaseUnavailable from %s while another process holds the lock', async (_name, query) => {
    const path = join(folder, 'app.db');
    const { db, close } = openSqlite(path);
    const blocker = new Sqlite(path);
    blocker.exec('BEGIN IMMEDIATE');
    const failed = await Promise.resolve()
      .then(() => query(db))
      .catch((error: unknown) => error);
    expect(isDatabaseUnavailable(failed)).toBe(true);
    blocker.exec('ROLLBACK');
    await query(db);
    blocker.close();
    close();
  });

  it('throws DatabaseUnavailable once the database is closed', () => {
    const { db, close } = openSqlite(':memory:');
    const prepared = db.select().from(users).prepare();
    const transaction = db.$client.transaction(() => {});
    close();
    const queries = [
      () => db.select().from(users).all(),
      () => prepared.get(),
      () => prepared.all(),
      () => db.transaction(() => {}),
      () => transaction(),
      () => transaction.exclusive(),
    ];
    for (const query of queries) expect(query).toThrow(DatabaseUnavailable);
    const other = openSqlite(':memory:');
    other.close();
    expect(() => other.db.transaction(() => {})).toThrow(DatabaseUnavailable);
  });
});

describe('isDatabaseUnavailable', () => {
  it('looks at the causes of an error', () => {
    const unavailable = new DatabaseUnavailable('locked');
    expect(isDatabaseUnavailable(new Error('a', { cause: new Error('b', { cause: unavailable }) }))).toBe(true);
    for (const other of [new Error('locked'), new Error('a', { cause: 'b' }), 'locked', undefined])
      expect(isDatabaseUnavailable(other)).toBe(false);
  });
});
