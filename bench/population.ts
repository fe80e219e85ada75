import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createPasswords } from '../src/server/auth/passwords/hash.ts';
import { createTokens } from '../src/server/auth/sessions/tokens.ts';
import { openSqlite } from '../src/server/db/sqlite.ts';
import { secrets, temporaryFolder } from '../e2e/support/server.ts';

export const PASSWORD = 'the password of every account here';
const DAY = 24 * 60 * 60_000;

const tokens = createTokens({
  accessSecrets: [secrets.JWT_ACCESS_SECRET],
  refreshSecrets: [secrets.JWT_REFRESH_SECRET],
  accessTokenLifetimeMs: 15 * 60_000,
});

export interface SeededSession {
  id: string;
  userId: string;
  /** Of its first refresh token, as a NumericDate. */
  issuedAt: number;
}

/** Creates a folder with a database of `count` accounts, each with one new session. */
export async function population(count: number, passwordHash = 'x') {
  const folder = await temporaryFolder();
  return {
    folder,
    sessions: populate(folder, count, passwordHash),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

function populate(folder: string, count: number, passwordHash: string): SeededSession[] {
  const path = join(folder, 'data/latchkey.db');
  openSqlite(path).close();
  const database = new Database(path);
  database.pragma('synchronous = OFF');
  const now = Date.now();
  const addUser = database.prepare(
    `INSERT INTO users (id, username, email, password_hash, password_changed_at, role, created_at)
     VALUES (?, ?, ?, ?, ?, 'user', ?)`,
  );
  const addSession = database.prepare(
    `INSERT INTO sessions
       (id, user_id, generation, issued_at, confirmed, created_at, last_seen_at, authenticated_at, remember, expires_at)
     VALUES (?, ?, 1, ?, 0, ?, ?, ?, 1, ?)`,
  );
  const sessions: SeededSession[] = [];
  database.transaction(() => {
    for (let number = 0; number < count; number++) {
      const session = { id: randomUUID(), userId: randomUUID(), issuedAt: now / 1000 };
      addUser.run(session.userId, `person${number}`, emailOf(number), passwordHash, now, now);
      addSession.run(session.id, session.userId, now, now, now, now, now + 30 * DAY);
      sessions.push(session);
    }
  })();
  database.close();
  return sessions;
}

/** Undoes every rotation, so that all refresh tokens can be used again. The server may be running. */
export function rewind(folder: string): void {
  const database = new Database(join(folder, 'data/latchkey.db'));
  database
    .prepare('UPDATE sessions SET generation = 1, confirmed = 0, previous_issued_at = NULL, issued_at = ?')
    .run(Date.now());
  database.close();
}

export const emailOf = (number: number): string => `person${number}@example.com`;

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
