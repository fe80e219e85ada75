// Better Auth on Express with SQLite, as documented. Its cookie cache stays off, the default: it would go on
// accepting ended sessions.
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { betterAuth } from 'better-auth';
import { hashPassword } from 'better-auth/crypto';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import Database from 'better-sqlite3';
import express from 'express';

const SECRET = 'Zk3u8wVq1LxT5nRb7cYe0HsJm2PaGd4F';
const WEEK_MS = 7 * 24 * 60 * 60_000;

const [, , password, people] = process.argv;

const database = new Database('better-auth.db');
database.pragma('journal_mode = WAL');
const auth = betterAuth({
  database,
  secret: SECRET,
  baseURL: 'http://localhost',
  emailAndPassword: { enabled: true },
  session: { cookieCache: { enabled: false } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});
await (await getMigrations(auth.options)).runMigrations();

// Inserted as Better Auth stores them, because signing up a thousand people takes minutes.
const now = new Date().toISOString();
const hash = await hashPassword(password);
const addUser = database.prepare(
  `INSERT INTO user (id, name, email, emailVerified, createdAt, updatedAt) VALUES (?, ?, ?, 1, ?, ?)`,
);
const addAccount = database.prepare(
  `INSERT INTO account (id, accountId, providerId, userId, password, createdAt, updatedAt)
   VALUES (?, ?, 'credential', ?, ?, ?, ?)`,
);
const addSession = database.prepare(
  `INSERT INTO session (id, token, userId, expiresAt, createdAt, updatedAt) VALUES (?, ?, ?, ?, ?, ?)`,
);
const expiresAt = new Date(Date.now() + WEEK_MS).toISOString();
const tokens = database.transaction(() =>
  Array.from({ length: Number(people) }, (_, number) => {
    const id = randomUUID();
    const token = randomBytes(24).toString('base64url');
    addUser.run(id, `person${number}`, `person${number}@example.com`, now, now);
    addAccount.run(randomUUID(), id, id, hash, now, now);
    addSession.run(randomUUID(), token, id, expiresAt, now, now);
    const signature = createHmac('sha256', SECRET).update(token).digest('base64');
    return encodeURIComponent(`${token}.${signature}`);
  }),
)();

const app = express();
app.all('/api/auth/*splat', toNodeHandler(auth));

const server = app.listen(0, () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port, tokens })}\n`);
});
process.once('SIGTERM', () => process.exit(0));
