import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openSqlite, type SqliteDatabase } from '../db/sqlite.ts';
import { createAccounts } from './accounts.ts';
import { createPasswords } from './passwords/hash.ts';
import { sqliteStore } from './store/sqlite/auth-store.ts';
import type { AuthStore } from './store/auth-store.ts';

// Threads and locks take their time on a machine that is busy with other tests.
vi.setConfig({ testTimeout: 30_000 });

const NOW = Date.UTC(2030, 0, 1);
const onBadHash = vi.fn<() => void>();
const passwords = createPasswords({ cost: 4, threads: 1, onBadHash });
const stronger = createPasswords({ cost: 5, threads: 1, onBadHash });
afterAll(() => Promise.all([passwords.close(), stronger.close()]));

let database: SqliteDatabase;
let store: AuthStore;
beforeEach(() => {
  database = openSqlite(':memory:');
  store = sqliteStore(database);
});
afterEach(() => database.close());

function accounts(changes: Partial<Parameters<typeof createAccounts>[0]> = {}) {
  return createAccounts({ store, passwords, passwordMinLength: 8, clock: () => NOW, ...changes });
}

const anna = { username: 'Anna', email: 'anna@example.com', password: 'a good password for Anna' };
const login = { email: anna.email, password: anna.password };
const busy = {
  hash: async () => ({ kind: 'overloaded' as const, retryAfter: 5 }),
  verify: async () => ({ kind: 'overloaded' as const, retryAfter: 5 }),
};

describe('creating an account', () => {
  test('answers the person as a client may know them, and stores the hash only', async () => {
    const created = await accounts().create(anna);
    expect(created).toEqual({
      user: { id: expect.any(String), username: 'Anna', email: anna.email, createdAt: '2030-01-01T00:00:00.000Z' },
    });
    const stored = await store.findAccountByEmail(anna.email);
    expect(stored?.passwordHash).toMatch(/^\$2b\$/);
    expect(database.db.$client.serialize().includes(anna.password)).toBe(false);
  });

  test.each(['password1', 'PASSWORD1', '12345678', 'Iloveyou'])('refuses %s: many people use it', async (password) => {
    const { failure } = (await accounts().create({ ...anna, password })) as { failure: unknown };
    expect(failure).toEqual({ code: 'invalid_input', fields: { password: [expect.stringMatching(/many people/i)] } });
    expect(await store.findAccountByEmail(anna.email)).toBeUndefined();
  });

  test('asks for the length that was set, in characters as people count them', async () => {
    const strict = accounts({ passwordMinLength: 12 });
    const refused = { failure: { code: 'invalid_input', fields: { password: ['Use at least 12 characters.'] } } };
    expect(await strict.create({ ...anna, password: 'qzjx vwpk 1' })).toEqual(refused);
    expect(await strict.create({ ...anna, password: '😀'.repeat(11) })).toEqual(refused);
    expect(await strict.create({ ...anna, password: 'qzjx vwpk 12' })).toHaveProperty('user');
  });

  test('says what is taken', async () => {
    await accounts().create(anna);
    expect(await accounts().create({ ...anna, email: 'other@example.com' })).toEqual({
      failure: { code: 'username_taken' },
    });
    expect(await accounts().create({ ...anna, username: 'other' })).toEqual({ failure: { code: 'email_taken' } });
  });

  test('when there is too much to hash creates nothing', async () => {
    const crowded = accounts({ passwords: { ...passwords, ...busy } });
    expect(await crowded.create(anna)).toEqual({ failure: { code: 'overloaded', retryAfter: 5 } });
    expect(await store.findAccountByEmail(anna.email)).toBeUndefined();
  });
});

describe('checking a password', () => {
  beforeEach(() => accounts().create(anna));

  test('answers whose it is', async () => {
    expect(await accounts().checkPassword(login)).toMatchObject({ user: { username: 'Anna' } });
  });

  test('answers the same for a wrong password, an unknown email and a malformed hash, after the same work', async () => {
    const verify = vi.spyOn(passwords, 'verify');
    const wrong = { failure: { code: 'invalid_credentials' } };
    expect(await accounts().checkPassword({ ...login, password: 'wrong' })).toEqual(wrong);
    expect(await accounts().checkPassword({ ...login, email: 'nobody@example.com' })).toEqual(wrong);
    expect(verify).toHaveBeenCalledTimes(2);
    database.db.$client.exec(`update users set password_hash = ''`);
    expect(await accounts().checkPassword(login)).toEqual(wrong);
    expect(verify).toHaveBeenCalledTimes(3);
    verify.mockRestore();
  });

  test('does not ask for more than was asked for when it was set', async () => {
    expect(await accounts({ passwordMinLength: 64 }).checkPassword(login)).toHaveProperty('user');
  });

  test('when there is too much to hash says so, and not that it was wrong', async () => {
    const crowded = accounts({ passwords: { ...passwords, ...busy } });
    expect(await crowded.checkPassword(login)).toEqual({ failure: { code: 'overloaded', retryAfter: 5 } });
  });

  test('makes the hash anew when the cost has changed, once the password was right', async () => {
    const raised = accounts({ passwords: stronger });
    await raised.checkPassword({ ...login, password: 'wrong' });
    expect((await store.findAccountByEmail(anna.email))?.passwordHash).toMatch(/^\$2b\$04\$/);
    await raised.checkPassword(login);
    expect((await store.findAccountByEmail(anna.email))?.passwordHash).toMatch(/^\$2b\$05\$/);
    expect(await raised.checkPassword(login)).toHaveProperty('user');
  });

  test('leaves the hash alone while its cost is right', async () => {
    const before = await store.findAccountByEmail(anna.email);
    await accounts().checkPassword(login);
    expect(await store.findAccountByEmail(anna.email)).toEqual(before);
  });

  test('lets a person in though there is too much to hash to make theirs anew', async () => {
    const crowded = accounts({ passwords: { ...stronger, hash: busy.hash } });
    expect(await crowded.checkPassword(login)).toHaveProperty('user');
    expect((await store.findAccountByEmail(anna.email))?.passwordHash).toMatch(/^\$2b\$04\$/);
  });
});
