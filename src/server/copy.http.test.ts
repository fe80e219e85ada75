import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { copyToPostgres, findTables } from './db/copy.ts';
import { openSqlite } from './db/sqlite.ts';
import { createDatabase, execute, type TestDatabase } from './testing/postgres.ts';
import { testWorld } from './testing/world.ts';

let folder: string;
let path: string;
let target: TestDatabase;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-'));
  path = join(folder, 'app.db');
  target = await createDatabase(inject('postgresUrl'));
});
afterEach(async () => {
  await target[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const tables = await findTables();
const copy = () => copyToPostgres(path, target.url, tables);

/** A database with one user, whose name is `it's`, and events with the ids from 1; those in `without` are deleted again. */
function fill(events: number, without: number[] = []): void {
  const { db, close } = openSqlite(path);
  const { $client: client } = db;
  client.exec(`${INSERT_USER} values ('a', 'it''s', 'é\\n"', 'hash', 0, 'user', 9007199254740991)`);
  const data = `'{"email":"it''s \\"new\\"@example.com"}'`;
  client.exec(`insert into links values ('link', 'email-change', 'a', ${data}, 0, 1)`);
  client.exec(`insert into outbox values ('mail', 'a', 'a', 'confirm-email', ${data}, 'link', 0, 0, 0)`);
  client.exec(`insert into rate_limits values ('key', 1, null)`);
  const insert = client.prepare('insert into audit_events (at, type, user_id) values (?, ?, ?)');
  client.transaction(() => {
    for (let number = 1; number <= events; number++) insert.run(number, 'login', number % 2 === 0 ? 'a' : null);
  })();
  for (const id of without) client.prepare('delete from audit_events where id = ?').run(id);
  close();
}

const INSERT_USER = 'insert into users (id, username, email, password_hash, password_changed_at, role, created_at)';

const rowsOfTarget = async () =>
  await Promise.all(
    ['users', 'sessions', 'rate_limits', 'audit_events'].map(
      async (table) => (await execute(target.url, `select * from ${table}`)).length,
    ),
  );

describe('copying SQLite to PostgreSQL', () => {
  it('keeps people logged in', async () => {
    const database = { kind: 'sqlite', path } as const;
    const signedIn = { cookie: '', accessToken: '' };
    const signedOut = { ...signedIn };
    let user: unknown;
    {
      await using before = await testWorld({ database });
      const client = before.client();
      ({ user } = await client.register('ada'));
      Object.assign(signedIn, { cookie: client.cookie, accessToken: client.accessToken });
      const other = before.client();
      await other.register('grace');
      Object.assign(signedOut, { cookie: other.cookie, accessToken: other.accessToken });
      await other.mutate('auth.logout');
    }
    await copy();

    await using after = await testWorld({ database: { kind: 'postgres', url: target.url } });
    const client = Object.assign(after.client(), signedIn);
    expect((await client.query('auth.me')).data).toEqual(user);
    const refreshed = await client.mutate('auth.refresh');
    expect(refreshed.data).toMatchObject({ session: { generation: 2 }, user });
    expect((await client.query('auth.me')).data).toEqual(user);
    const other = Object.assign(after.client(), signedOut);
    expect((await other.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    expect((await other.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
  });

  it('copies every row of every table as it is', async () => {
    // More than one statement inserts.
    fill(1_201);
    expect(await copy()).toEqual([
      { name: 'audit_events', rows: 1_201 },
      { name: 'outbox', rows: 1 },
      { name: 'rate_limits', rows: 1 },
      { name: 'sessions', rows: 0 },
      { name: 'users', rows: 1 },
      { name: 'links', rows: 1 },
    ]);
    expect(await execute(target.url, 'select * from users')).toEqual([
      {
        id: 'a',
        username: `it's`,
        email: 'é\\n"',
        email_verified_at: null,
        password_hash: 'hash',
        password_changed_at: 0,
        role: 'user',
        disabled_at: null,
        created_at: 9_007_199_254_740_991,
      },
    ]);
    const data = { email: `it's "new"@example.com` };
    expect(await execute(target.url, 'select data from links union all select data from outbox')).toEqual([
      { data },
      { data },
    ]);
    const [first, , last] = await execute(
      target.url,
      'select id, at, user_id from audit_events where id in (1, 2, 1201) order by id',
    );
    expect([first, last]).toEqual([
      { id: 1, at: 1, user_id: null },
      { id: 1201, at: 1201, user_id: null },
    ]);
  });

  it('numbers new rows from where SQLite was, also where the last are gone', async () => {
    fill(5, [4, 5]);
    await copy();
    const added = await execute(target.url, `insert into audit_events (at, type) values (0, 'login') returning id`);
    expect(added).toEqual([{ id: 6 }]);
  });

  it('refuses a target that has rows, and leaves it as it was', async () => {
    fill(2);
    await copy();
    await execute(target.url, 'delete from audit_events');
    await expect(copy()).rejects.toThrow('The target is not empty');
    expect(await rowsOfTarget()).toEqual([1, 0, 1, 0]);
  });

  it('copies nothing where a row cannot be copied', async () => {
    fill(2);
    const { db, close } = openSqlite(path);
    // PostgreSQL's text has no NUL.
    db.$client.exec(`${INSERT_USER} values ('b', 'b', 'b', 'a' || char(0), 0, 'user', 0)`);
    close();
    await expect(copy()).rejects.toThrow();
    expect(await rowsOfTarget()).toEqual([0, 0, 0, 0]);
  });

  it('copies nothing where a row arrives changed', async () => {
    fill(2);
    await copy();
    await execute(target.url, 'truncate users, outbox, rate_limits, audit_events cascade');
    await execute(
      target.url,
      `create function change() returns trigger language plpgsql as 'begin new.detail := ''changed''; return new; end'`,
    );
    await execute(
      target.url,
      'create trigger change before insert on audit_events for each row execute function change()',
    );
    await expect(copy()).rejects.toThrow('audit_events differs after copying');
    expect(await rowsOfTarget()).toEqual([0, 0, 0, 0]);
  });

  it('copies what was committed when it began', async () => {
    fill(1_000);
    const server = openSqlite(path);
    const copying = copy();
    let writes = 0;
    const writing = { done: false, finished: copying.finally(() => (writing.done = true)) };
    while (!writing.done) {
      server.db.$client.exec(`insert into audit_events (at, type) values (0, 'login'); ${INSERT_USER}
        values ('id${writes}', 'name${writes}', 'email${writes}', '', 0, 'user', 0)`);
      writes++;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    const copied = Object.fromEntries((await copying).map(({ name, rows }) => [name, rows]));
    server.close();
    // Each write adds to both tables, which are not read at the same time.
    expect(copied['audit_events']! - 1_000).toBe(copied['users']! - 1);
    expect(copied['audit_events']).toBeLessThan(1_000 + writes);
  });

  it('creates nothing where there is no database', async () => {
    await expect(copy()).rejects.toThrow('There is no database at');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('refuses to leave a table behind', async () => {
    const { db, close } = openSqlite(path);
    db.$client.exec('create table notes (id integer primary key)');
    close();
    await expect(copy()).rejects.toThrow('No tables.sqlite.ts describes notes');
  });
});
