import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createPasswords } from '../src/server/auth/passwords/hash.ts';
import { createTokens } from '../src/server/auth/sessions/tokens.ts';
import { openPostgres } from '../src/server/db/postgres.ts';
import { openSqlite } from '../src/server/db/sqlite.ts';
import { createDatabase, execute } from '../src/server/testing/postgres.ts';
import { secrets, temporaryFolder } from '../e2e/support/server.ts';

export const PASSWORD = 'the password of every account here';
const DAY = 24 * 60 * 60_000;
const BULK_CACHE_KB = 500_000;

const tokens = createTokens({
  accessSecrets: [secrets.JWT_ACCESS_SECRET],
  refreshSecrets: [secrets.JWT_REFRESH_SECRET],
  accessTokenLifetimeMs: 15 * 60_000,
});

export interface SeededSession {
  id: string;
  userId: string;
  email: string;
  /** Of its first refresh token, as a NumericDate. */
  issuedAt: number;
}

/** SQL that both databases understand, by column; `n` counts from 0, and `:now` and `:hash` stand for values. */
const USER_COLUMNS = {
  id: 'gen_random_uuid()',
  username: "'person' || n",
  email: "'person' || n || '@example.com'",
  password_hash: ':hash',
  password_changed_at: ':now',
  role: "'user'",
  // Over the last day, because an index on a single time would be smaller than a real one.
  created_at: `:now - n * 977 % ${DAY}`,
};
/** Selected from `users`. */
const SESSION_COLUMNS = {
  id: 'gen_random_uuid()',
  user_id: 'id',
  generation: '1',
  issued_at: 'created_at',
  indexed_issued_at: 'created_at',
  confirmed: 'true',
  created_at: 'created_at',
  last_seen_at: 'created_at',
  authenticated_at: 'created_at',
  remember: 'true',
  expires_at: `:now + ${30 * DAY}`,
};

export interface Population extends AsyncDisposable {
  folder: string;
  /** In random order. */
  sessions: SeededSession[];
  settings: Record<string, string>;
  /** Undoes every rotation, so that all refresh tokens can be used again. The server may be running. */
  rewind(): Promise<void>;
  /** Executes statements that both databases understand. */
  run(statements: string[]): Promise<unknown>;
}

interface Options {
  /** Of a server on which to create the database, instead of a SQLite file. */
  postgres?: string | undefined;
  /** How many of the sessions to return. */
  sample?: number;
}

/** Creates a database of `count` accounts, each with one session, and a folder for a server to run in. */
export async function population(
  count: number,
  passwordHash = 'x',
  { postgres, sample = count }: Options = {},
): Promise<Population> {
  await using created = new AsyncDisposableStack();
  const folder = await temporaryFolder();
  created.defer(() => rm(folder, { recursive: true }));
  const place = postgres === undefined ? sqlitePlace(folder) : created.use(await postgresPlace(postgres));
  await place.run(statements(count, passwordHash));
  const rows = await place.run([
    `SELECT sessions.id, user_id AS "userId", email, CAST(issued_at AS double precision) / 1000 AS "issuedAt"
     FROM sessions JOIN users ON users.id = user_id ORDER BY random() LIMIT ${sample}`,
  ]);
  const kept = created.move();
  return {
    folder,
    sessions: rows as SeededSession[],
    settings: place.settings,
    run: place.run,
    async rewind() {
      const set = 'generation = 1, confirmed = true, previous_issued_at = NULL, issued_at = previous_issued_at';
      await place.run([`UPDATE sessions SET ${set} WHERE generation > 1`]);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function statements(count: number, passwordHash: string): string[] {
  const insert = (table: string, columns: Record<string, string>, from: string) =>
    `INSERT INTO ${table} (${Object.keys(columns).join(', ')}) ${from.replace('*', Object.values(columns).join(', '))}`
      .replaceAll(':now', String(Date.now()))
      .replaceAll(':hash', `'${passwordHash}'`);
  const numbers = `WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count - 1})`;
  return [
    insert('users', USER_COLUMNS, `${numbers} SELECT * FROM numbers`),
    insert('sessions', SESSION_COLUMNS, 'SELECT * FROM users'),
  ];
}

function sqlitePlace(folder: string) {
  const path = join(folder, 'data/latchkey.db');
  openSqlite(path).close();
  return {
    settings: {},
    /** @returns the rows of the last statement */
    async run(all: string[]): Promise<unknown[]> {
      const database = new Database(path);
      database.pragma('synchronous = OFF');
      // Random keys go all over the indexes.
      database.pragma(`cache_size = -${BULK_CACHE_KB}`);
      database.function('gen_random_uuid', () => randomUUID());
      let rows: unknown[] = [];
      for (const statement of all.map((text) => database.prepare(text)))
        if (statement.reader) rows = statement.all();
        else statement.run();
      database.close();
      return rows;
    },
  };
}

async function postgresPlace(server: string) {
  const { url, [Symbol.asyncDispose]: drop } = await createDatabase(server);
  const { close } = await openPostgres(url);
  await close();
  return {
    settings: { DATABASE_URL: url },
    async run(all: string[]): Promise<unknown[]> {
      let rows: unknown[] = [];
      for (const statement of all) rows = await execute(url, statement);
      await execute(url, 'VACUUM ANALYZE');
      return rows;
    },
    [Symbol.asyncDispose]: drop,
  };
}

export const usernameOf = (number: number): string => `person${number}`;
export const emailOf = (number: number): string => `${usernameOf(number)}@example.com`;

/** The refresh token issued with the session. One issued a minute later would count as a second holder. */
export const refreshTokenOf = ({ id, userId, issuedAt }: SeededSession): string =>
  tokens.signRefresh({ sub: userId, sid: id, gen: 1, iat: issuedAt, exp: issuedAt + (7 * DAY) / 1000 });

/** @param lifetimeSeconds negative for an expired token */
export function accessTokenOf({ id, userId, issuedAt }: SeededSession, lifetimeSeconds = 900): string {
  const iat = Date.now() / 1000;
  return tokens.signAccess({
    sub: userId,
    sid: id,
    gen: 1,
    gat: issuedAt,
    role: 'user',
    iat,
    exp: iat + lifetimeSeconds,
  });
}

/** Hashes a password as the server does. */
export async function hashOf(password: string, cost: number): Promise<string> {
  const passwords = createPasswords({ cost, threads: 1, onMalformedHash: () => {} });
  const result = await passwords.hash(password);
  await passwords.close();
  if (result.kind !== 'hashed') throw new Error('The password worker refused a single hash.');
  return result.hash;
}
