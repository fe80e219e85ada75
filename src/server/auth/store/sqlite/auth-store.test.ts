import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { DatabaseUnavailable } from '../../../db/errors.ts';
import { openSqlite } from '../../../db/sqlite.ts';
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
import { sqliteStore } from './auth-store.ts';
import type { AuthStore } from '../auth-store.ts';

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

describeAuthStore('SQLite in memory', async (onMail) => {
  const database = openSqlite(':memory:');
  const store = sqliteStore(database, onMail);
  return { servers: [store, store], close: async () => database.close() };
});

describeAuthStore('SQLite in a file, two servers on it', async (onMail) => {
  const file = temporaryFile();
  const databases = [openSqlite(file), openSqlite(file)] as const;
  return {
    servers: [sqliteStore(databases[0], onMail), sqliteStore(databases[1], onMail)],
    async close() {
      for (const database of databases) database.close();
    },
  };
});

const later = START + 15 * MINUTE;

/** Every verb that writes, called so that it does. */
const writes: Record<string, (store: AuthStore) => Promise<unknown>> = {
  createAccount: (store) => store.createAccount(bert()),
  replacePasswordHash: (store) => store.replacePasswordHash('anna', 'h1', 'h2'),
  createSession: (store) =>
    store.createSession({ session: newSession({ id: 'second' }), replacing: 'session' }, anna()),
  'redeem, rotating': (store) => store.redeem(refreshClaims(1, START), later, policy),
  'redeem, ending': (store) =>
    store.redeem(refreshClaims(1, START + 2 * MINUTE, { sessionId: 'confirmed' }), later, policy),
  'authenticate, ending': (store) =>
    store.authenticate(accessClaims(1, START + 2 * MINUTE, { sessionId: 'confirmed' }), later, policy),
  endSession: (store) => store.endSession('session', 'revoked', later),
  purgeSessions: (store) => store.purgeSessions(later, 10),
};

const confirm = (store: AuthStore) => store.authenticate(accessClaims(1, START + 1), later, policy);

async function fill(store: AuthStore): Promise<void> {
  await store.createAccount(anna());
  await store.createSession({ session: newSession() }, anna());
  await store.createSession({ session: newSession({ id: 'confirmed', confirmed: true }) }, anna());
}

/** All rows of the tables. */
function contents({ db }: ReturnType<typeof openSqlite>): unknown {
  return ['users', 'sessions'].map((table) => db.$client.prepare(`select * from ${table} order by id`).all());
}

describe('a store whose database is unavailable', () => {
  it.each(Object.keys(writes))(
    'rejects %s while another process holds the lock, and works afterwards',
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

  it('authenticates a call whose confirmation it cannot write, and lets a later call confirm', async () => {
    const { database, store } = open(':memory:');
    await fill(store);
    const before = contents(database);
    database.db.$client.pragma('query_only = ON');
    expect(await confirm(store)).toMatchObject({ kind: 'authenticated', user: { id: 'anna' } });
    expect(contents(database)).toEqual(before);
    database.db.$client.pragma('query_only = OFF');
    await confirm(store);
    expect(contents(database)).toMatchObject([[{}], [{}, { id: 'session', confirmed: 1, issued_at: START + 1 }]]);
  });

  it('reads while another process writes', async () => {
    const file = temporaryFile();
    const { store } = open(file);
    await fill(store);
    const blocker = new Database(file);
    cleanups.push(() => blocker.close());
    blocker.exec('BEGIN IMMEDIATE');
    expect(await store.authenticate(accessClaims(1, START, { sessionId: 'confirmed' }), later, policy)).toMatchObject({
      kind: 'authenticated',
    });
  });

  it('rejects a ping when it cannot write', async () => {
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

  // SQLite keeps working on the open file, but what it commits from then on is lost.
  it.each(['removed', 'replaced'])('rejects a ping when its file was %s', async (how) => {
    const file = temporaryFile();
    const { store } = open(file);
    renameSync(file, `${file}-kept`);
    if (how === 'replaced') writeFileSync(file, '');
    await expect(store.ping()).rejects.toThrow(DatabaseUnavailable);
    renameSync(`${file}-kept`, file);
    await store.ping();
  });

  it.each(Object.keys(writes))('rejects %s and changes nothing when it is read-only', async (name) => {
    const { database, store } = open(':memory:');
    await fill(store);
    const before = contents(database);
    database.db.$client.pragma('query_only = ON');
    await expect(writes[name]!(store)).rejects.toThrow(DatabaseUnavailable);
    expect(contents(database)).toEqual(before);
    expect(database.db.$client.pragma('synchronous', { simple: true })).toBe(2);
  });

  it.each([...Object.keys(writes), 'findAccountByEmail', 'ping'])('rejects %s once it is closed', async (name) => {
    const { database, store } = open(':memory:');
    await fill(store);
    database.close();
    const verbs: typeof writes = {
      ...writes,
      findAccountByEmail: () => store.findAccountByEmail('anna@example.com'),
      ping: () => store.ping(),
    };
    await expect(verbs[name]!(store)).rejects.toThrow(DatabaseUnavailable);
  });

  it('does not blame the database for a bug', async () => {
    const { store } = open(':memory:');
    await fill(store);
    const fault = store.createSession({ session: newSession() }, anna());
    await expect(fault).rejects.toThrow();
    await expect(fault).rejects.not.toThrow(DatabaseUnavailable);
  });
});

describe('durability', () => {
  /** The values of `synchronous` at the writes of a verb. */
  async function levelsOf(write: (store: AuthStore) => Promise<unknown>): Promise<unknown[]> {
    const { database, store } = open(':memory:');
    await fill(store);
    const client = database.db.$client;
    // It cannot be read inside a statement, so it is read whenever it may have changed.
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
    const exec = client.exec.bind(client);
    vi.spyOn(client, 'exec').mockImplementation((source) => {
      const result = exec(source);
      current = level();
      return result;
    });
    await write(store);
    return [...new Set(levels)];
  }

  const FULL = 2;
  const NORMAL = 1;

  it.each([
    ['createAccount', FULL],
    ['replacePasswordHash', FULL],
    ['createSession', FULL],
    ['endSession', FULL],
    ['redeem, ending', FULL],
    ['authenticate, ending', FULL],
    ['redeem, rotating', NORMAL],
    ['purgeSessions', NORMAL],
  ])('%s writes with synchronous = %i', async (name, level) => {
    expect(await levelsOf(writes[name]!)).toEqual([level]);
  });

  it('a confirmation writes with synchronous = 1', async () => {
    expect(await levelsOf(confirm)).toEqual([NORMAL]);
  });
});

describe('two servers on one database', () => {
  it('write no confirmation when the other has rotated in between', async () => {
    const file = temporaryFile();
    const { store: fast } = open(file);
    const { database } = open(file);
    await fill(fast);
    // The other server runs between this one's read and its write.
    let overtake: Promise<unknown> | undefined;
    const slow = sqliteStore({
      ...database,
      withoutFsync(run) {
        overtake = fast.redeem(refreshClaims(1, START), later, policy);
        return run();
      },
    });
    await slow.authenticate(accessClaims(1, START), later, policy);
    expect(await overtake).toMatchObject({ kind: 'issue', session: { generation: 2 } });
    expect(contents(database)).toMatchObject([
      [{}],
      [
        { id: 'confirmed' },
        { id: 'session', generation: 2, confirmed: 0, issued_at: later, previous_issued_at: START },
      ],
    ]);
  });

  it('keep the first of two confirmations', async () => {
    const file = temporaryFile();
    const { store: fast } = open(file);
    const { database } = open(file);
    await fill(fast);
    const slow = sqliteStore({
      ...database,
      withoutFsync(run) {
        void fast.authenticate(accessClaims(1, START + 1), later, policy);
        return run();
      },
    });
    await slow.authenticate(accessClaims(1, START + 2), later, policy);
    expect(contents(database)).toMatchObject([[{}], [{}, { confirmed: 1, issued_at: START + 1 }]]);
  });

  it('agree on every generation when two threads redeem the same tokens at once', async () => {
    const file = temporaryFile();
    const { store } = open(file);
    const rounds = 20;
    await store.createAccount(anna());
    for (let i = 0; i < rounds; i++) await store.createSession({ session: newSession({ id: `race${i}` }) }, anna());
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const answers = await Promise.all(
      [1, 2].map(async () => {
        const worker = new Worker(REDEEM_IN_A_THREAD, {
          eval: true,
          workerData: {
            gate,
            rounds,
            file,
            now: later,
            policy,
            claims: refreshClaims(1, START),
            modules: ['../../../db/sqlite.ts', './auth-store.ts'].map((path) => new URL(path, import.meta.url).href),
          },
        });
        return new Promise<string[]>((resolve, reject) => {
          worker.once('message', resolve).once('error', reject);
        });
      }),
    );
    const expected = Array.from({ length: rounds }, () => 'issue 2');
    expect(answers).toEqual([expected, expected]);
  });
});

/** The threads wait for each other before every round, so as to redeem each token at nearly the same time. */
const REDEEM_IN_A_THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { gate, rounds, file, now, policy, claims, modules } = workerData;
  (async () => {
    const [{ openSqlite }, { sqliteStore }] = await Promise.all(modules.map((url) => import(url)));
    const database = openSqlite(file);
    // On a busy machine the other thread may be descheduled while it holds the lock.
    database.db.$client.pragma('busy_timeout = 20000');
    const store = sqliteStore(database);
    const answers = [];
    for (let i = 0; i < rounds; i++) {
      const met = 2 * (i + 1);
      if (Atomics.add(gate, 0, 1) + 1 === met) Atomics.notify(gate, 0);
      for (let seen = Atomics.load(gate, 0); seen < met; seen = Atomics.load(gate, 0)) Atomics.wait(gate, 0, seen);
      const answer = await store.redeem({ ...claims, sessionId: 'race' + i }, now, policy);
      answers.push(answer.kind + ' ' + answer.session?.generation);
    }
    database.close();
    parentPort.postMessage(answers);
  })();
`;
