import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { isDatabaseUnavailable } from '../../../db/errors.ts';
import { openPostgres, type PostgresDatabase } from '../../../db/postgres.ts';
import { execute, type TestDatabase } from '../../../testing/postgres.ts';
import { testDatabase } from '../../../testing/test-database.ts';
import type { AuthStore } from '../auth-store.ts';
import {
  accessClaims,
  anna,
  bert,
  describeAuthStore,
  newSession,
  policy,
  refreshClaims,
  START,
} from '../testing/contract.ts';
import { postgresStore } from './auth-store.ts';

const MINUTE = 60_000;
const later = START + 15 * MINUTE;

let place: TestDatabase;
let databases: readonly [PostgresDatabase, PostgresDatabase];
let servers: readonly [AuthStore, AuthStore];
let database: PostgresDatabase;
let store: AuthStore;

beforeAll(async () => {
  place = await testDatabase();
  databases = [await openPostgres(place.url), await openPostgres(place.url)];
  servers = [postgresStore(databases[0]), postgresStore(databases[1])];
  [database] = databases;
  [store] = servers;
});
afterAll(async () => {
  for (const { close } of databases) await close();
  await place[Symbol.asyncDispose]();
});

/** Deletes everything, which is faster than a database for each test. */
const clear = () =>
  database.db.execute('delete from users; delete from sessions; delete from links; delete from outbox');

describeAuthStore('PostgreSQL, two servers on it', async (onMail) => {
  await clear();
  return {
    servers: [postgresStore(databases[0], onMail), postgresStore(databases[1], onMail)],
    close: async () => {},
  };
});

/** An account with two sessions. */
async function fill(): Promise<void> {
  await clear();
  await store.createAccount(anna());
  await store.createSession({ session: newSession() }, anna());
  await store.createSession({ session: newSession({ id: 'confirmed', confirmed: true }) }, anna());
}

const contents = async () => (await database.db.execute('select * from sessions order by id')).rows;

/** Calls `onQuery` before each statement of a database, with the name under which it is prepared. */
function watch({ db: { $client: pool } }: PostgresDatabase, onQuery: (name?: string) => unknown): Disposable {
  const { query } = pool;
  Object.assign(pool, {
    async query(...args: [{ name?: string }, unknown[]]) {
      await onQuery(args[0].name);
      return query.apply(pool, args as never);
    },
  });
  return { [Symbol.dispose]: () => void Object.assign(pool, { query }) };
}

describe('the statements of a verb', () => {
  it.each<[string, () => Promise<unknown>, (string | undefined)[]]>([
    [
      'a protected call: one, prepared',
      () => store.authenticate(accessClaims(1, START, { sessionId: 'confirmed' }), later, policy),
      ['session_and_user'],
    ],
    [
      'a protected call that confirms: two, prepared',
      () => store.authenticate(accessClaims(1, START), later, policy),
      ['session_and_user', 'confirm'],
    ],
    [
      'a refresh that rotates: two, prepared',
      () => store.redeem(refreshClaims(1, START), later, policy),
      ['session_and_user', 'progress'],
    ],
    [
      'a refresh that changes nothing: one, prepared',
      () => store.redeem(refreshClaims(9, START, { userId: 'bert' }), later, policy),
      ['session_and_user'],
    ],
    ['ending a session: one', () => store.endSession('session', 'revoked', later), [undefined]],
    [
      'a registration: one',
      () => store.createAccount(bert(), { session: newSession({ id: 'next', userId: 'bert' }) }),
      [undefined],
    ],
  ])('%s', async (_name, verb, expected) => {
    await fill();
    const names: (string | undefined)[] = [];
    using _watching = watch(database, (name) => names.push(name));
    await verb();
    expect(names).toEqual(expected);
  });
});

describe('a server that is overtaken between its read and its write', () => {
  const [slow, fast] = [0, 1].map((index) => () => servers[index]!) as [() => AuthStore, () => AuthStore];

  /** Runs something on the other server, once, before the statement of that name. */
  function overtake(statement: string, run: () => Promise<unknown>): Disposable {
    let isFirst = true;
    return watch(databases[0], async (name) => {
      if (name !== statement || !isFirst) return;
      isFirst = false;
      await run();
    });
  }

  it('issues the generation that the other has rotated to', async () => {
    await fill();
    using _other = overtake('progress', () => fast().redeem(refreshClaims(1, START), later, policy));
    expect(await slow().redeem(refreshClaims(1, START), later, policy)).toMatchObject({
      kind: 'issue',
      session: { generation: 2 },
    });
    expect(await contents()).toMatchObject([{}, { id: 'session', generation: 2, previous_issued_at: String(START) }]);
  });

  it('revives no session that the other has ended', async () => {
    await fill();
    using _other = overtake('progress', () => fast().endSession('session', 'revoked', later));
    expect(await slow().redeem(refreshClaims(1, START), later, policy)).toEqual({
      kind: 'ended',
      reason: 'revoked',
      byThisCall: false,
    });
    expect(await contents()).toMatchObject([{}, { id: 'session', generation: 1, end_reason: 'revoked' }]);
  });

  it('finds the reuse that the other has made of it', async () => {
    await fill();
    const confirm = () => fast().authenticate(accessClaims(1, START + 10 * MINUTE), later, policy);
    using _other = overtake('progress', confirm);
    expect(await slow().redeem(refreshClaims(1, START), later, policy)).toEqual({
      kind: 'ended',
      reason: 'reused',
      byThisCall: true,
    });
  });

  it('writes no confirmation of a generation that the other has rotated', async () => {
    await fill();
    using _other = overtake('confirm', () => fast().redeem(refreshClaims(1, START), later, policy));
    await slow().authenticate(accessClaims(1, START), later, policy);
    expect(await contents()).toMatchObject([
      {},
      { generation: 2, confirmed: false, issued_at: String(later), previous_issued_at: String(START) },
    ]);
  });

  it('keeps the first of two confirmations', async () => {
    await fill();
    using _other = overtake('confirm', () => fast().authenticate(accessClaims(1, START + 1), later, policy));
    await slow().authenticate(accessClaims(1, START + 2), later, policy);
    expect(await contents()).toMatchObject([{}, { confirmed: true, issued_at: String(START + 1) }]);
  });
});

describe('two servers on one database', () => {
  it('agree on the generation when many redeem the same token at once', async () => {
    await fill();
    for (let round = 0; round < 20; round++) {
      const sessionId = `race${round}`;
      await store.createSession({ session: newSession({ id: sessionId }) }, anna());
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          servers[i % 2]!.redeem(refreshClaims(1, START, { sessionId }), later, policy),
        ),
      );
      expect(answers).toEqual(
        answers.map(() =>
          expect.objectContaining({ kind: 'issue', session: expect.objectContaining({ generation: 2 }) }),
        ),
      );
    }
  });

  it('end a session once', async () => {
    await fill();
    const ended = await Promise.all(
      Array.from({ length: 8 }, (_, i) => servers[i % 2]!.endSession('session', 'revoked', later)),
    );
    expect(ended.filter(Boolean)).toHaveLength(1);
  });
});

/** Every verb that writes, called so that it does. */
const writes: Record<string, () => Promise<unknown>> = {
  createAccount: () => store.createAccount(bert()),
  replacePasswordHash: () => store.replacePasswordHash('anna', 'h1', 'h2'),
  createSession: () => store.createSession({ session: newSession({ id: 'second' }), replacing: 'session' }, anna()),
  'redeem, rotating': () => store.redeem(refreshClaims(1, START), later, policy),
  'redeem, ending': () => store.redeem(refreshClaims(1, START + 2 * MINUTE, { sessionId: 'confirmed' }), later, policy),
  'authenticate, ending': () =>
    store.authenticate(accessClaims(1, START + 2 * MINUTE, { sessionId: 'confirmed' }), later, policy),
  endSession: () => store.endSession('session', 'revoked', later),
  purgeSessions: () => store.purgeSessions(later, 10),
  ping: () => store.ping(),
};

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a store whose database is unavailable', () => {
  /** Ends the connections of the first server's pool, whose next ones are read-only or not. */
  async function makeReadOnly(isReadOnly: boolean): Promise<void> {
    const name = new URL(place.url).pathname.slice(1);
    const server = inject('postgresUrl');
    await execute(server, `alter database ${name} set default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`);
    await execute(server, `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '${name}'`);
  }

  it('rejects every write while it is read-only, changes nothing, and works afterwards', async () => {
    await fill();
    const before = await contents();
    await makeReadOnly(true);
    for (const [name, write] of Object.entries(writes))
      expect([name, isDatabaseUnavailable(await failure(write()))]).toEqual([name, true]);
    expect(await contents()).toEqual(before);
    // It can be answered without the write.
    expect(await store.authenticate(accessClaims(1, START), later, policy)).toMatchObject({ kind: 'authenticated' });
    expect(await contents()).toEqual(before);
    await makeReadOnly(false);
    await expect.poll(() => store.ping()).toBeUndefined();
    for (const write of Object.values(writes)) await write();
    expect(await contents()).not.toEqual(before);
  });

  it('rejects everything once it is closed', async () => {
    const closed = await openPostgres(place.url);
    const verbs = postgresStore(closed);
    await closed.close();
    for (const call of [verbs.ping(), verbs.findAccountByEmail('a'), verbs.endSession('a', 'revoked', 0)])
      expect(isDatabaseUnavailable(await failure(call))).toBe(true);
  });

  it('does not blame the database for a bug', async () => {
    await fill();
    const fault = await failure(store.createSession({ session: newSession() }, anna()));
    expect(fault).toBeInstanceOf(Error);
    expect(isDatabaseUnavailable(fault)).toBe(false);
  });
});
