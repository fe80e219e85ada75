import pg from 'pg';
import { describe, expect, inject, it } from 'vitest';
import type { Grant } from '../shared/auth.ts';
import { LIMITS } from './auth/limits/throttle.ts';
import { createDatabase, execute } from './testing/postgres.ts';
import { testDatabase } from './testing/test-database.ts';
import { openStream, twoServers } from './testing/two-servers.ts';
import { testWorld, type TestClient, type World } from './testing/world.ts';

const SKEW_MS = 4_000;
const MINUTE_MS = 60_000;

/** The same browser at another server. */
function at(server: World, client: TestClient): TestClient {
  return Object.assign(server.client(), { cookie: client.cookie, accessToken: client.accessToken });
}

/** How many statements wait for a lock. */
const waiting = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;

const generationOf = (data: unknown) => (data as Grant | undefined)?.session.generation;

describe('two servers on PostgreSQL, their clocks some seconds apart', () => {
  it('agree on every generation when they redeem one token at the same time', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url, SKEW_MS);
    const client = servers.one.client();
    await client.register('ada');
    for (let generation = 2; generation < 12; generation += 1) {
      servers.advance(2 * MINUTE_MS);
      const racers = Array.from({ length: 8 }, (_, index) => at(index % 2 === 0 ? servers.one : servers.two, client));
      const answers = await Promise.all(racers.map((racer) => racer.mutate('auth.refresh')));
      expect(answers.map(({ status, data }) => [status, generationOf(data)])).toEqual(
        answers.map(() => [200, generation]),
      );
      // The answer of either server works at the other.
      const winner = racers[generation % racers.length]!;
      for (const server of [servers.one, servers.two])
        expect((await at(server, winner).query('auth.me')).status).toBe(200);
      Object.assign(client, { cookie: winner.cookie, accessToken: winner.accessToken });
    }
    expect(await execute(database.url, 'select generation, end_reason from sessions')).toEqual([
      { generation: 11, end_reason: null },
    ]);
  });

  it('overwrite nothing when the other one rotates between the read and the write', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url);
    const client = servers.one.client();
    await client.register('ada');
    servers.advance(2 * MINUTE_MS);
    // The other server: it holds the row, so that the write of the first one has to wait.
    const other = new pg.Client(database.url);
    await other.connect();
    await other.query('begin');
    await other.query('select from sessions for update');
    const refreshed = client.mutate('auth.refresh');
    await expect.poll(() => execute(database.url, waiting)).toEqual([{ count: 1 }]);
    const now = servers.one.clock.now;
    await other.query(
      `update sessions set generation = 2, previous_issued_at = issued_at, issued_at = ${now}, confirmed = true`,
    );
    await other.query('commit');
    await other.end();
    expect(await refreshed).toMatchObject({ status: 200, data: { session: { generation: 2 } } });
    expect(await execute(database.url, 'select generation, issued_at, confirmed from sessions')).toEqual([
      { generation: 2, issued_at: now, confirmed: true },
    ]);
    expect((await client.mutate('auth.refresh')).status).toBe(200);
  });

  it('never bring back a session that the other one has ended', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url, SKEW_MS);
    for (let round = 0; round < 10; round += 1) {
      const client = servers.one.client();
      await client.register(`ada-${round}`);
      const racers = Array.from({ length: 4 }, () => at(servers.one, client));
      const [loggedOut] = await Promise.all([
        at(servers.two, client).mutate('auth.logout'),
        ...racers.map((racer) => racer.mutate('auth.refresh')),
      ]);
      expect(loggedOut.status).toBe(200);
      for (const racer of racers)
        expect((await at(servers.two, racer).query('auth.me')).failure).toEqual({
          code: 'session_ended',
          reason: 'revoked',
        });
    }
  });

  it('notice a stolen token, at whichever server it is used', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url, SKEW_MS);
    const owner = servers.one.client();
    await owner.register('ada');
    const thief = at(servers.two, owner);
    for (let rotations = 0; rotations < 2; rotations += 1) {
      servers.advance(2 * MINUTE_MS);
      expect((await owner.mutate('auth.refresh')).status).toBe(200);
      expect((await owner.query('auth.me')).status).toBe(200);
    }
    const reused = { code: 'session_ended', reason: 'reused' };
    expect((await thief.mutate('auth.refresh')).failure).toEqual(reused);
    expect((await owner.query('auth.me')).failure).toEqual(reused);
  });

  it('create an account once', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url, SKEW_MS);
    const answers = await Promise.all(
      Array.from({ length: LIMITS.registrationMail.points }, (_, index) =>
        (index % 2 === 0 ? servers.one : servers.two).client().mutate('auth.register', {
          username: `ada-${index}`,
          email: 'ada@example.com',
          password: 'algebraic weaver',
        }),
      ),
    );
    expect(answers.map(({ failure }) => failure?.code).filter((code) => code !== 'email_taken')).toEqual([undefined]);
    expect(await execute(database.url, 'select count(*) from sessions')).toEqual([{ count: 1 }]);
  });

  it('count wrong passwords together', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url, SKEW_MS);
    const wrong = { email: 'nobody@example.com', password: 'wrong' };
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        (index % 2 === 0 ? servers.one : servers.two).client().mutate('auth.login', wrong),
      ),
    );
    const codes = answers.map(({ failure }) => failure?.code);
    // As many as one server allows: ten, and the first of those that have to wait.
    expect(codes.filter((code) => code === 'invalid_credentials')).toHaveLength(11);
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(29);
  });
});

describe('a stream of session events at another server', () => {
  // These streams do not look for themselves: what they learn, the other server has told them.
  it('shows a change of the user, and ends with the session', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url);
    const client = servers.one.client();
    const { user } = await client.register('ada');
    using stream = await openStream(servers.two, client.accessToken);
    await stream.until('"ada"');
    await execute(database.url, `update users set username = 'lovelace'`);
    servers.one.services.notifications.publish({ userId: user.id });
    await stream.until('"lovelace"');
    await client.mutate('auth.logout');
    await stream.until('"failure":{"code":"session_ended","reason":"revoked"}');
  });

  it('shows a role that an admin changes, and ends when they disable the person', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url);
    const grace = servers.one.client();
    const { user: admin } = await grace.register('grace');
    await execute(database.url, `update users set role = 'admin' where id = '${admin.id}'`);
    const ada = servers.two.client();
    const { user, accessToken } = await ada.register('ada');
    using stream = await openStream(servers.two, accessToken);
    await stream.until('"role":"user"');
    expect((await grace.mutate('admin.setRole', { id: user.id, role: 'admin' })).status).toBe(200);
    await stream.until('"role":"admin"');
    expect((await ada.query('admin.people?input={}')).status).toBe(200);
    expect((await grace.mutate('admin.setDisabled', { id: user.id, disabled: true })).status).toBe(200);
    await stream.until('"failure":{"code":"session_ended","reason":"revoked"}');
  });

  // Regression: any role that may connect could stop every server with one statement.
  it.each(['', 'hi', 'null', '{"from":"one"}', '{"from":"one","change":1}', '{"from":"one","change":{"sessionId":1}}'])(
    'looks for changes where the notification is %j, which means nothing to the server',
    async (payload) => {
      await using database = await testDatabase();
      await using servers = await twoServers(database.url);
      const client = servers.one.client();
      await client.register('ada');
      using stream = await openStream(servers.two, client.accessToken);
      await stream.until('"ada"');
      await execute(database.url, `update users set username = 'lovelace'; select pg_notify('latchkey', '${payload}')`);
      await stream.until('"lovelace"');
    },
  );

  it('learns what it missed when the connection to the database broke', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url);
    const client = servers.one.client();
    await client.register('ada');
    using stream = await openStream(servers.two, client.accessToken);
    await stream.until('"ada"');
    // Nobody publishes this change.
    await execute(database.url, `update users set username = 'lovelace'`);
    // Those that listen, by the one thing that they lack: their last statement may have been a heartbeat.
    const terminated = await execute(
      database.url,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name <> 'latchkey' and pid <> pg_backend_pid()`,
    );
    expect(terminated.length).toBeGreaterThanOrEqual(2);
    await stream.until('"lovelace"');
    await client.mutate('auth.logout');
    await stream.until('"session_ended"');
  });
});

describe('several servers that start at the same time', () => {
  it('apply the migrations once', async () => {
    await using database = await createDatabase(inject('postgresUrl'));
    const settings = { database: { kind: 'postgres' as const, url: database.url } };
    const started = await Promise.allSettled(Array.from({ length: 4 }, () => testWorld(settings)));
    await using stack = new AsyncDisposableStack();
    for (const world of started) if (world.status === 'fulfilled') stack.use(world.value);
    expect(started.filter(({ status }) => status === 'rejected')).toEqual([]);
    const applied = await execute(database.url, 'select hash from drizzle.__drizzle_migrations');
    expect(applied).toHaveLength(new Set(applied.map(({ hash }) => hash)).size);
    expect(applied.length).toBeGreaterThan(0);
  });
});

describe('purging', () => {
  it('is done by one server at a time', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url);
    await servers.one.client().register('ada');
    servers.advance(30 * 24 * 60 * MINUTE_MS);
    const blocker = new pg.Client(database.url);
    await blocker.connect();
    await blocker.query('begin; lock table sessions');
    const first = servers.one.services.purge();
    await expect.poll(() => execute(database.url, waiting)).toEqual([{ count: 1 }]);
    expect(await servers.two.services.purge()).toBe(0);
    await blocker.query('rollback');
    await blocker.end();
    // The session, the link to verify the email, and the counters of registrations by network and by email.
    expect(await first).toBe(4);
    expect(await servers.two.services.purge()).toBe(0);
  });

  it('leaves a session that is being changed for the next time', async () => {
    await using database = await testDatabase();
    await using servers = await twoServers(database.url);
    await servers.one.client().register('ada');
    servers.advance(30 * 24 * 60 * MINUTE_MS);
    const changing = new pg.Client(database.url);
    await changing.connect();
    await changing.query('begin; select from sessions for update');
    expect(await servers.one.services.sessions.purge()).toBe(0);
    await changing.query('rollback');
    await changing.end();
    expect(await servers.one.services.sessions.purge()).toBe(1);
  });
});
