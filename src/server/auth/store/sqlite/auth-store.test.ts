import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { DatabaseUnavailable, openSqlite } from '../../../db/sqlite.ts';
import { anna, bert, copyOf, describeAuthStore, newSession, policy, START } from '../testing/contract.ts';
import { sqliteStore } from './auth-store.ts';
import type { AuthStore } from '../auth-store.ts';

// Threads and locks take their time on a machine that is busy with other tests.
vi.setConfig({ testTimeout: 30_000 });

const MINUTE = 60_000;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
});

function temporaryFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-store-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  return join(folder, 'test.db');
}

function open(path: string) {
  const database = openSqlite(path);
  cleanups.push(() => database.close());
  return { database, store: sqliteStore(database) };
}

describeAuthStore('SQLite in memory', async () => {
  const database = openSqlite(':memory:');
  const store = sqliteStore(database);
  return { servers: [store, store], close: async () => database.close() };
});

describeAuthStore('SQLite in a file, two servers on it', async () => {
  const file = temporaryFile();
  const databases = [openSqlite(file), openSqlite(file)] as const;
  return {
    servers: [sqliteStore(databases[0]), sqliteStore(databases[1])],
    async close() {
      for (const database of databases) database.close();
    },
  };
});

const later = START + 15 * MINUTE;

/** Each verb that writes, with what it takes to make it write. */
const writes: Record<string, (store: AuthStore) => Promise<unknown>> = {
  createAccount: (store) => store.createAccount(bert()),
  replacePasswordHash: (store) => store.replacePasswordHash('anna', 'h1', 'h2'),
  createSession: (store) => store.createSession(newSession({ id: 'second' }), 'session'),
  'redeem, rotating': (store) => store.redeem(copyOf(1, START), later, policy),
  'redeem, ending': (store) => store.redeem(copyOf(1, START + 2 * MINUTE, { sessionId: 'proved' }), later, policy),
  'recognize, ending': (store) =>
    store.recognize(copyOf(1, START + 2 * MINUTE, { sessionId: 'proved' }), later, policy),
  endSession: (store) => store.endSession('session', 'revoked', later),
  purgeSessions: (store) => store.purgeSessions(later, 10),
};

const prove = (store: AuthStore) => store.recognize(copyOf(1, START + 1), later, policy);

async function fill(store: AuthStore): Promise<void> {
  await store.createAccount(anna());
  await store.createSession(newSession());
  await store.createSession(newSession({ id: 'proved', proved: true }));
}

/** Everything that is in the tables. */
function contents({ db }: ReturnType<typeof openSqlite>): unknown {
  return ['users', 'sessions'].map((table) => db.$client.prepare(`select * from ${table} order by id`).all());
}

describe('a database that cannot be used', () => {
  test.each(Object.keys(writes))(
    'makes %s reject while another process holds the lock, and works afterwards',
    async (name) => {
      const file = temporaryFile();
      const { database, store } = open(file);
      await fill(store);
      const before = contents(database);
      const blocker = new Database(file);
      cleanups.push(() => blocker.close());
      blocker.exec('BEGIN IMMEDIATE');
      await expect(writes[name]!(store)).rejects.toThrow(DatabaseUnavailable);
      expect(contents(database)).toEqual(before);
      blocker.exec('ROLLBACK');
      await writes[name]!(store);
      expect(contents(database)).not.toEqual(before);
    },
  );

  test('lets a call in whose proof it cannot keep, and a later call brings the proof again', async () => {
    const { database, store } = open(':memory:');
    await fill(store);
    const before = contents(database);
    database.db.$client.pragma('query_only = ON');
    expect(await prove(store)).toMatchObject({ kind: 'good', user: { id: 'anna' } });
    expect(contents(database)).toEqual(before);
    database.db.$client.pragma('query_only = OFF');
    await prove(store);
    expect(contents(database)).toMatchObject([[{}], [{}, { id: 'session', proved: 1, issued_at: START + 1 }]]);
  });

  test('can still be read while another process writes', async () => {
    const file = temporaryFile();
    const { store } = open(file);
    await fill(store);
    const blocker = new Database(file);
    cleanups.push(() => blocker.close());
    blocker.exec('BEGIN IMMEDIATE');
    expect(await store.recognize(copyOf(1, START, { sessionId: 'proved' }), later, policy)).toMatchObject({
      kind: 'good',
    });
  });

  test('is told by a ping that asks whether it can be written', async () => {
    const file = temporaryFile();
    const { database, store } = open(file);
    const blocker = new Database(file);
    cleanups.push(() => blocker.close());
    blocker.exec('BEGIN IMMEDIATE');
    await expect(store.ping()).rejects.toThrow(DatabaseUnavailable);
    blocker.exec('ROLLBACK');
    await store.ping();
    database.db.$client.pragma('query_only = ON');
    await expect(store.ping()).rejects.toThrow(DatabaseUnavailable);
  });

  test.each(Object.keys(writes))('makes %s reject and change nothing where it is read-only', async (name) => {
    const { database, store } = open(':memory:');
    await fill(store);
    const before = contents(database);
    database.db.$client.pragma('query_only = ON');
    await expect(writes[name]!(store)).rejects.toThrow(DatabaseUnavailable);
    expect(contents(database)).toEqual(before);
    expect(database.db.$client.pragma('synchronous', { simple: true })).toBe(2);
  });

  test.each([...Object.keys(writes), 'findAccountByEmail', 'ping'])(
    'makes %s reject once it is closed',
    async (name) => {
      const { database, store } = open(':memory:');
      await fill(store);
      database.close();
      const verbs: typeof writes = {
        ...writes,
        findAccountByEmail: () => store.findAccountByEmail('anna@example.com'),
        ping: () => store.ping(),
      };
      await expect(verbs[name]!(store)).rejects.toThrow(DatabaseUnavailable);
    },
  );

  test('is not what a fault of ours is taken for', async () => {
    const { store } = open(':memory:');
    await fill(store);
    const fault = store.createSession(newSession());
    await expect(fault).rejects.toThrow();
    await expect(fault).rejects.not.toThrow(DatabaseUnavailable);
  });
});

describe('what is on disk when a verb answers', () => {
  /** Runs it and says with which `synchronous` each of its writes was made. */
  async function levelsOf(write: (store: AuthStore) => Promise<unknown>): Promise<unknown[]> {
    const { database, store } = open(':memory:');
    await fill(store);
    const client = database.db.$client;
    // The level cannot be asked for inside a statement, so it is read whenever it may have been changed.
    const level = () => client.pragma('synchronous', { simple: true });
    let current = level();
    const levels: unknown[] = [];
    client.function('note_level', () => {
      levels.push(current);
      return null;
    });
    for (const table of ['users', 'sessions'])
      for (const change of ['insert', 'update', 'delete'])
        client.exec(
          `create temp trigger ${table}_${change} after ${change} on ${table} begin select note_level(); end`,
        );
    const pragma = client.pragma.bind(client);
    vi.spyOn(client, 'pragma').mockImplementation((source, options) => {
      const result: unknown = pragma(source, options);
      current = pragma('synchronous', { simple: true });
      return result;
    });
    await write(store);
    return [...new Set(levels)];
  }

  const FULL = 2;
  const NORMAL = 1;

  test.each([
    ['createAccount', FULL],
    ['replacePasswordHash', FULL],
    ['createSession', FULL],
    ['endSession', FULL],
    ['redeem, ending', FULL],
    ['recognize, ending', FULL],
    ['redeem, rotating', NORMAL],
    ['purgeSessions', NORMAL],
  ])('%s writes with synchronous = %i', async (name, level) => {
    expect(await levelsOf(writes[name]!)).toEqual([level]);
  });

  test('a proof is written with synchronous = 1', async () => {
    expect(await levelsOf(prove)).toEqual([NORMAL]);
  });
});

describe('two servers on one database', () => {
  test('a proof that another server overtook with a rotation changes nothing', async () => {
    const file = temporaryFile();
    const { store: fast } = open(file);
    const { database } = open(file);
    await fill(fast);
    // The other server's turn comes between the reading and the writing of this one.
    let overtake: Promise<unknown> | undefined;
    const slow = sqliteStore({
      ...database,
      relaxed(run) {
        overtake = fast.redeem(copyOf(1, START), later, policy);
        return run();
      },
    });
    await slow.recognize(copyOf(1, START), later, policy);
    expect(await overtake).toMatchObject({ kind: 'fresh', session: { generation: 2 } });
    expect(contents(database)).toMatchObject([
      [{}],
      [{ id: 'proved' }, { id: 'session', generation: 2, proved: 0, issued_at: later, previous_issued_at: START }],
    ]);
  });

  test('a proof that another server overtook with another proof leaves its date', async () => {
    const file = temporaryFile();
    const { store: fast } = open(file);
    const { database } = open(file);
    await fill(fast);
    const slow = sqliteStore({
      ...database,
      relaxed(run) {
        void fast.recognize(copyOf(1, START + 1), later, policy);
        return run();
      },
    });
    await slow.recognize(copyOf(1, START + 2), later, policy);
    expect(contents(database)).toMatchObject([[{}], [{}, { proved: 1, issued_at: START + 1 }]]);
  });

  test(
    'in two threads, redeeming the same copies at the same time, agree on every generation',
    { timeout: 60_000 },
    async () => {
      const file = temporaryFile();
      const { store } = open(file);
      const rounds = 20;
      await store.createAccount(anna());
      for (let i = 0; i < rounds; i++) await store.createSession(newSession({ id: `race${i}` }));
      const gate = new Int32Array(new SharedArrayBuffer(4));
      const answers = await Promise.all(
        [1, 2].map(async () => {
          const worker = new Worker(REDEEM_IN_A_THREAD, {
            eval: true,
            execArgv: ['--disable-warning=MODULE_TYPELESS_PACKAGE_JSON'],
            workerData: {
              gate,
              rounds,
              file,
              now: later,
              policy,
              copy: copyOf(1, START),
              modules: ['../../../db/sqlite.ts', './auth-store.ts'].map((path) => new URL(path, import.meta.url).href),
            },
          });
          return new Promise<string[]>((resolve, reject) => {
            worker.once('message', resolve).once('error', reject);
          });
        }),
      );
      const expected = Array.from({ length: rounds }, () => 'fresh 2');
      expect(answers).toEqual([expected, expected]);
    },
  );
});

/** Both wait for each other before every round, so that they redeem each copy as nearly at once as can be. */
const REDEEM_IN_A_THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { gate, rounds, file, now, policy, copy, modules } = workerData;
  (async () => {
    const [{ openSqlite }, { sqliteStore }] = await Promise.all(modules.map((url) => import(url)));
    const database = openSqlite(file);
    // On a machine that is busy with other tests the other thread may be kept waiting while it holds the lock.
    database.db.$client.pragma('busy_timeout = 20000');
    const store = sqliteStore(database);
    const answers = [];
    for (let i = 0; i < rounds; i++) {
      const met = 2 * (i + 1);
      if (Atomics.add(gate, 0, 1) + 1 === met) Atomics.notify(gate, 0);
      for (let seen = Atomics.load(gate, 0); seen < met; seen = Atomics.load(gate, 0)) Atomics.wait(gate, 0, seen);
      const answer = await store.redeem({ ...copy, sessionId: 'race' + i }, now, policy);
      answers.push(answer.kind + ' ' + answer.session?.generation);
    }
    database.close();
    parentPort.postMessage(answers);
  })();
`;
