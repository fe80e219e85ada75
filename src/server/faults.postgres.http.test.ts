import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, execute, startPostgres, type PostgresServer } from './testing/postgres.ts';
import { startStandby } from './testing/standby.ts';
import { tcpProxy, type TcpProxy } from './testing/tcp-proxy.ts';
import { twoServers, type TwoServers } from './testing/two-servers.ts';
import type { World } from './testing/world.ts';

/**
 * The longest that a call may take to be refused: two seconds for a connection and five for a statement, and a generous
 * allowance for a busy machine, where a call that waits for ever takes the timeout of the test.
 */
const REFUSAL_MAX_MS = 20_000;
const HEAL_TIMEOUT_MS = 60_000;
const MINUTE_MS = 60_000;

let postgres: PostgresServer;
beforeAll(async () => {
  // One of its own, because it is stopped and made read-only.
  postgres = await startPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

interface Place extends AsyncDisposable {
  servers: TwoServers;
  proxy: TcpProxy;
  /** Executes a statement past the proxy. */
  sql(statement: string): ReturnType<typeof execute>;
  /** A connection past the proxy, for a lock. */
  connect(): Promise<pg.Client>;
}

/** Two servers on a new database, which they reach through a proxy that can break. */
async function open({ url: serverUrl } = postgres): Promise<Place> {
  await using opened = new AsyncDisposableStack();
  const database = opened.use(await createDatabase(serverUrl));
  const proxy = opened.use(await tcpProxy(Number(new URL(database.url).port)));
  const url = new URL(database.url);
  url.port = String(proxy.port);
  const servers = opened.use(await twoServers(url.href));
  const kept = opened.move();
  return {
    servers,
    proxy,
    sql: (statement) => execute(database.url, statement),
    async connect() {
      const client = new pg.Client(database.url);
      client.on('error', () => {});
      await client.connect();
      return client;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const readiness = async ({ url }: World) => (await fetch(`${url}/readyz`)).status;

/** Brings about a fault. @returns a function that removes it */
type Fault = (place: Place) => Promise<() => unknown>;

const outages: Record<string, Fault> = {
  async 'the database server is down'() {
    await postgres.stop();
    return () => postgres.start();
  },
  async 'the connections are cut'({ proxy }) {
    proxy.cut();
    return () => proxy.pass();
  },
  async 'the network is a black hole'({ proxy }) {
    proxy.stall();
    return () => proxy.pass();
  },
  async 'the database is read-only'({ sql }) {
    await sql('alter system set default_transaction_read_only = on');
    await sql('select pg_reload_conf()');
    // Once a new connection has the setting, the server has signaled the existing ones.
    await expect
      .poll(() => sql('show default_transaction_read_only'))
      .toEqual([{ default_transaction_read_only: 'on' }]);
    return async () => {
      await sql('alter system reset default_transaction_read_only');
      await sql('select pg_reload_conf()');
    };
  },
  async 'the pool is exhausted'({ servers }) {
    const pools = [servers.one, servers.two].map(({ services }) => services.db.$client as unknown as pg.Pool);
    const clients = await Promise.all(
      pools.flatMap((pool) => Array.from({ length: pool.options.max }, () => pool.connect())),
    );
    return () => {
      for (const client of clients) client.release();
    };
  },
  async 'every statement waits for a lock'({ connect }) {
    const blocker = await connect();
    await blocker.query('begin; lock table users, sessions in access exclusive mode');
    return () => blocker.end();
  },
};

describe.each(Object.entries(outages))('while %s', (_name, begin) => {
  it('calls are refused in time, and work again afterwards', async () => {
    await using place = await open();
    const { one } = place.servers;
    const client = one.client();
    const { user, password } = await client.register('ada');
    // With a session of its own: what is refused may be executed nonetheless, when the fault is over.
    const leaving = one.client();
    expect((await leaving.mutate('auth.login', { email: user.email, password })).status).toBe(200);
    const end = await begin(place);
    try {
      expect(await readiness(one)).toBe(503);
      expect((await fetch(`${one.url}/healthz`)).status).toBe(200);
      const began = Date.now();
      const answers = await Promise.all([
        client.mutate('auth.refresh'),
        leaving.mutate('auth.logout'),
        client.mutate('auth.login', { email: user.email, password }),
        client.mutate('auth.register', { username: 'grace', email: 'grace@example.com', password }),
      ]);
      expect(Date.now() - began).toBeLessThan(REFUSAL_MAX_MS);
      for (const { status, failure, headers, setCookie } of answers) {
        expect([status, failure, setCookie]).toEqual([503, { code: 'overloaded', retryAfter: 1 }, undefined]);
        expect(headers.get('retry-after')).toBe('1');
      }
    } finally {
      await end();
    }
    await expect.poll(() => readiness(one), { timeout: HEAL_TIMEOUT_MS }).toBe(200);
    expect(await client.mutate('auth.refresh')).toMatchObject({ status: 200, data: { session: { generation: 2 } } });
    expect((await client.query('auth.me')).status).toBe(200);
    expect((await client.mutate('auth.login', { email: user.email, password })).status).toBe(200);
  });
});

const waiting = `select count(*) from pg_stat_activity where application_name = 'latchkey' and wait_event_type = 'Lock'`;
const terminate = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey'`;

/** What may break in the middle of a statement, so that nobody knows whether it was executed. */
const interruptions: Record<string, Fault> = {
  async 'backends are terminated in the middle of a statement'({ sql, connect }) {
    const blocker = await connect();
    await blocker.query('begin; lock table sessions in access exclusive mode');
    const terminated = (async () => {
      await expect.poll(async () => (await sql(waiting))[0]?.count).toBeGreaterThan(2);
      await sql(terminate);
      await blocker.end();
    })();
    return () => terminated;
  },
  async 'the connection is lost after each COMMIT, before its answer'({ proxy }) {
    // `progress` is the name of the prepared statement that rotates.
    proxy.loseAnswersTo(/insert into "users"|insert into "sessions"|update "sessions"|progress/);
    return () => proxy.pass();
  },
};

interface Person {
  name: string;
  cookie: string | undefined;
  accessToken: string | undefined;
  /** Refreshes at times when the token rotates, and sign-ins; repetitions not counted. */
  refreshes: number;
  signIns: number;
  isOut: boolean;
}

const PEOPLE = 8;
const MAX_ATTEMPTS = 50;

describe.each(Object.entries({ ...outages, ...interruptions }))('people who go on while %s', (_name, begin) => {
  it('lose nothing that was confirmed, do nothing twice, and stay logged in', async () => {
    await using place = await open();
    const { servers, sql } = place;
    const tally = { acknowledged: 0, refused: 0 };
    const answered = new Set<Person>();
    let calls = 0;
    let over = Promise.resolve();

    /** Calls a server, another one each time, until it is not refused as overloaded. */
    async function insist(person: Person, path: string, input?: object) {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
        const client = Object.assign([servers.one, servers.two][calls++ % 2]!.client(), {
          cookie: person.cookie,
          accessToken: person.accessToken,
        });
        const answer = await (path === 'auth.me' ? client.query(path) : client.mutate(path, input));
        answered.add(person);
        if (answer.status !== 503) {
          if (answer.status === 200) tally.acknowledged += 1;
          Object.assign(person, { cookie: client.cookie, accessToken: client.accessToken });
          return answer;
        }
        expect(answer.failure).toEqual({ code: 'overloaded', retryAfter: 1 });
        tally.refused += 1;
        await over;
      }
      throw new Error(`${path} is refused after ${MAX_ATTEMPTS} attempts`);
    }

    const credentials = ({ name }: Person) => ({
      email: `${name}@example.com`,
      password: `a good password for ${name}`,
    });

    async function signUp(person: Person) {
      person.signIns += 1;
      const { failure } = await insist(person, 'auth.register', { username: person.name, ...credentials(person) });
      if (failure === undefined) return;
      // The first attempt was refused, and executed nonetheless.
      expect(failure).toEqual({ code: 'username_taken' });
      person.signIns += 1;
      expect((await insist(person, 'auth.login', credentials(person))).status).toBe(200);
    }

    async function goOn(person: Person) {
      person.refreshes += 1;
      expect(await insist(person, 'auth.refresh')).toMatchObject({ status: 200 });
      expect(await insist(person, 'auth.me')).toMatchObject({ status: 200 });
    }

    async function leave(person: Person) {
      const { cookie } = person;
      expect(await insist(person, 'auth.logout')).toMatchObject({ status: 200 });
      Object.assign(person, { cookie, isOut: true });
    }

    const people = Array.from({ length: PEOPLE }, (_, number): Person => {
      const name = `person-${number}`;
      return { name, cookie: undefined, accessToken: undefined, refreshes: 0, signIns: 0, isOut: false };
    });
    const early = people.slice(0, PEOPLE / 2);
    const late = people.slice(PEOPLE / 2);

    await Promise.all(early.map(signUp));
    servers.advance(2 * MINUTE_MS);

    const { promise, resolve: resume } = Promise.withResolvers<void>();
    over = promise;
    answered.clear();
    const end = await begin(place);
    const activities = Promise.all([leave(early[0]!), ...early.slice(1).map(goOn), ...late.map(signUp)]);
    await expect.poll(() => answered.size, { timeout: REFUSAL_MAX_MS }).toBe(PEOPLE);
    await end();
    for (const server of [servers.one, servers.two])
      await expect.poll(() => readiness(server), { timeout: HEAL_TIMEOUT_MS }).toBe(200);
    resume();
    await activities;

    for (let round = 0; round < 2; round += 1) {
      servers.advance(2 * MINUTE_MS);
      await Promise.all(people.filter(({ isOut }) => !isOut).map(goOn));
    }

    // Nothing that was confirmed is lost: the accounts are there, and whoever logged out is out.
    for (const person of people) {
      const { status, failure } = await insist({ ...person }, 'auth.refresh');
      expect([person.name, status, failure]).toEqual(
        person.isOut ? [person.name, 401, { code: 'session_ended', reason: 'revoked' }] : [person.name, 200, undefined],
      );
      expect(await insist({ ...person, cookie: undefined }, 'auth.login', credentials(person))).toMatchObject({
        status: 200,
      });
      person.signIns += 1;
    }
    // Nothing was done twice, and no session was ended for any other reason than its owner's logout.
    const rows = await sql(
      `select username, count(*) as sessions, max(generation) as generation, count(end_reason) as ended, count(nullif(end_reason, 'revoked')) as reused from users join sessions on user_id = users.id group by username order by username`,
    );
    const doubled = rows.filter((row, index) => {
      const { signIns, refreshes } = people[index]!;
      return Number(row.sessions) > signIns || Number(row.generation) > 1 + refreshes;
    });
    const endedWithoutCause = rows.filter(
      (row, index) => Number(row.reused) > 0 || Number(row.ended) > (people[index]!.isOut ? 1 : 0),
    );
    expect(rows).toHaveLength(PEOPLE);
    expect({ doubled, endedWithoutCause }).toEqual({ doubled: [], endedWithoutCause: [] });
    expect(tally.refused).toBeGreaterThan(0);
  });
});

describe('a failover', () => {
  it('loses nothing that was confirmed, and the standby only reads until it is promoted', async () => {
    await using primary = await startPostgres();
    await using standby = await startStandby(primary);
    const place = await open(primary);
    // Not the place as a whole: the primary with its database is down in the end.
    await using proxy = place.proxy;
    await using servers = place.servers;
    const { one, two } = servers;
    const client = one.client();
    const { user, password } = await client.register('ada');
    const gone = two.client();
    await gone.register('grace');
    expect((await gone.mutate('auth.logout')).status).toBe(200);

    proxy.cut();
    await primary.stop();
    expect(await readiness(one)).toBe(503);
    proxy.pass(standby.port);
    await expect.poll(async () => (await client.query('auth.me')).status, { timeout: HEAL_TIMEOUT_MS }).toBe(200);
    expect(await readiness(one)).toBe(503);
    expect(await client.mutate('auth.refresh')).toMatchObject({ status: 503, failure: { code: 'overloaded' } });

    await standby.promote();
    await expect.poll(() => readiness(one), { timeout: HEAL_TIMEOUT_MS }).toBe(200);
    expect(await client.mutate('auth.refresh')).toMatchObject({ status: 200, data: { session: { generation: 2 } } });
    expect((await client.mutate('auth.login', { email: user.email, password })).status).toBe(200);
    expect((await gone.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
  });
});
