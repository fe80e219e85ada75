import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { sql } from 'drizzle-orm';
import { createDatabase, execute, type TestDatabase } from '../testing/postgres.ts';
import { testDatabase } from '../testing/test-database.ts';
import { StartupError } from '../startup-error.ts';
import { isDatabaseUnavailable } from './errors.ts';
import { openPostgres, type PostgresDatabase, violatedConstraint } from './postgres.ts';

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** The URL of the tests' server with something changed. */
function url(changes: { port?: string; password?: string; pathname?: string }): string {
  return Object.assign(new URL(inject('postgresUrl')), changes).href;
}

describe('opening a database', () => {
  it.each<[string, { port?: string; password?: string; pathname?: string }, RegExp]>([
    ['nothing listens', { port: '1' }, /ECONNREFUSED/],
    ['the password is wrong', { password: 'not-the-password' }, /password authentication failed/],
    ['the database does not exist', { pathname: '/nowhere' }, /database "nowhere" does not exist/],
  ])('fails with a sentence, and no password, where %s', async (_name, changes, reason) => {
    const error = (await failure(openPostgres(url(changes)))) as Error;
    expect(error).toBeInstanceOf(StartupError);
    expect(error.message).toMatch(/^Cannot open the database \w+ on 127\.0\.0\.1:\d+: .*\. Check DATABASE_URL/);
    expect(error.message).toMatch(reason);
    expect(error.message).not.toContain(changes.password ?? 'postgres:');
  });

  it('applies the migrations once when several servers start together', async () => {
    await using place = await createDatabase(inject('postgresUrl'));
    const opened = await Promise.all(Array.from({ length: 4 }, () => openPostgres(place.url)));
    for (const { close } of opened) await close();
    const migrations = await execute(place.url, 'select hash from drizzle.__drizzle_migrations');
    expect(new Set(migrations.map(({ hash }) => hash)).size).toBe(migrations.length);
    expect(await execute(place.url, 'select * from users')).toEqual([]);
  });
});

describe('an open database', () => {
  let place: TestDatabase;
  let first: PostgresDatabase;
  let second: PostgresDatabase;
  beforeAll(async () => {
    place = await testDatabase();
    [first, second] = await Promise.all([openPostgres(place.url), openPostgres(place.url)]);
  });
  afterAll(async () => {
    await first.close();
    await second.close();
    await place[Symbol.asyncDispose]();
  });

  const addUser = (id: string) =>
    first.db.execute(sql`
      insert into users (id, username, email, password_hash, password_changed_at, role, created_at)
      values (${id}, ${id}, ${`${id}@example.com`}, 'hash', 0, 'user', 0)`);

  it('deletes the links of a deleted user, and keeps the sessions', async () => {
    await addUser('anna');
    await first.db.execute(sql`
      insert into sessions (id, user_id, generation, issued_at, confirmed, created_at, last_seen_at, authenticated_at,
        remember, expires_at) values ('session', 'anna', 1, 0, false, 0, 0, 0, true, 1)`);
    await first.db.execute(sql`insert into links values ('link', 'any', 'anna', '{}', 0, 1)`);
    await first.db.execute(sql`delete from users`);
    expect((await first.db.execute(sql`select id from links`)).rows).toEqual([]);
    expect((await first.db.execute(sql`select id from sessions`)).rows).toEqual([{ id: 'session' }]);
  });

  it('names the constraint that a query has violated', async () => {
    await addUser('bert');
    expect(violatedConstraint(await failure(addUser('bert')))).toBe('users_pkey');
    expect(violatedConstraint(await failure(addUser('BERT')))).toBe('users_username_unique');
    expect(violatedConstraint(await failure(first.db.execute(sql`selec`)))).toBeUndefined();
  });

  it('runs on one server at a time what is to run exclusively', async () => {
    const outcome = await first.exclusively(async () => [
      await second.exclusively(async () => 'both'),
      await first.exclusively(async () => 'twice'),
    ]);
    expect(outcome).toEqual([undefined, undefined]);
    expect(await second.exclusively(async () => 'afterwards')).toBe('afterwards');
  });

  it('releases the lock when what ran exclusively has failed', async () => {
    const fault = new Error('in between');
    expect(await failure(first.exclusively(() => Promise.reject(fault)))).toBe(fault);
    const connections = `select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`;
    await expect.poll(() => execute(place.url, connections)).toEqual([]);
    expect(await second.exclusively(async () => 'afterwards')).toBe('afterwards');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a statement that takes too long', () => first.db.execute(sql`set statement_timeout = 1; select pg_sleep(9)`)],
    ['a connection that is terminated', () => first.db.execute(sql`select pg_terminate_backend(pg_backend_pid())`)],
    [
      'a transaction whose connection is terminated',
      () => first.db.transaction((tx) => tx.execute(sql`select pg_terminate_backend(pg_backend_pid())`)),
    ],
  ])('blames the database for %s, and works afterwards', async (_name, query) => {
    const error = await failure(query());
    expect(isDatabaseUnavailable(error)).toBe(true);
    await expect.poll(() => first.db.execute(sql`select 1 as one`).then(({ rows }) => rows)).toEqual([{ one: 1 }]);
  });

  it('does not blame the database for a bug, in a transaction or not', async () => {
    const bug = new TypeError('not a function');
    expect(await failure(first.db.transaction(() => Promise.reject(bug)))).toBe(bug);
    for (const fault of [
      await failure(first.db.execute(sql`selec`)),
      await failure(first.db.execute(sql`select * from nowhere`)),
      await failure(first.db.transaction((tx) => tx.execute(sql`selec`))),
    ]) {
      expect(fault).toBeInstanceOf(Error);
      expect(isDatabaseUnavailable(fault)).toBe(false);
    }
  });
});
