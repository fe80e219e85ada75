import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openSqlite, type SqliteDatabase } from '../db/sqlite.ts';
import { createAccounts } from './accounts.ts';
import { createPasswords } from './passwords/hash.ts';
import { sqliteStore } from './store/sqlite/auth-store.ts';
import type { AuthStore } from './store/auth-store.ts';

const NOW = Date.UTC(2030, 0, 1);
const onMalformedHash = vi.fn<() => void>();
const passwords = createPasswords({ cost: 4, threads: 1, onMalformedHash });
const stronger = createPasswords({ cost: 5, threads: 1, onMalformedHash });
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
  it('returns the account and stores only the hash of its password', async () => {
    const created = await accounts().create(anna);
    expect(created).toEqual({
      kind: 'account',
      account: {
        id: expect.any(String),
        username: 'Anna',
        email: anna.email,
        emailVerifiedAt: null,
        passwordHash: expect.any(String),
        passwordChangedAt: NOW,
        role: 'user',
        disabledAt: null,
        createdAt: NOW,
      },
    });
    const stored = await store.findAccountByEmail(anna.email);
    expect(created).toHaveProperty('account', stored);
    expect(stored?.passwordHash).toMatch(/^\$2b\$/);
    expect(database.db.$client.serialize().includes(anna.password)).toBe(false);
  });

  it.each(['password1', 'PASSWORD1', '12345678', 'Iloveyou'])('refuses the common password %s', async (password) => {
    const { failure } = (await accounts().create({ ...anna, password })) as { failure: unknown };
    expect(failure).toEqual({ code: 'invalid_input', fields: { password: [expect.stringMatching(/many people/i)] } });
    expect(await store.findAccountByEmail(anna.email)).toBeUndefined();
  });

  it('applies the configured minimum length, in code points', async () => {
    const strict = accounts({ passwordMinLength: 12 });
    const refused = {
      kind: 'failed',
      failure: { code: 'invalid_input', fields: { password: ['Use at least 12 characters.'] } },
    };
    expect(await strict.create({ ...anna, password: 'qzjx vwpk 1' })).toEqual(refused);
    expect(await strict.create({ ...anna, password: '😀'.repeat(11) })).toEqual(refused);
    expect(await strict.create({ ...anna, password: 'qzjx vwpk 12' })).toHaveProperty('account');
  });

  it('reports whether the username or the email is taken', async () => {
    await accounts().create(anna);
    expect(await accounts().create({ ...anna, email: 'other@example.com' })).toEqual({
      kind: 'failed',
      failure: { code: 'username_taken' },
    });
    expect(await accounts().create({ ...anna, username: 'other' })).toEqual({
      kind: 'failed',
      failure: { code: 'email_taken' },
    });
  });

  it('does not hash a password for a username or email that is taken', async () => {
    await accounts().create(anna);
    const hash = vi.spyOn(passwords, 'hash');
    expect(await accounts().prepare({ ...anna, username: 'ANNA' })).toMatchObject({
      failure: { code: 'username_taken' },
    });
    expect(await accounts().prepare({ ...anna, username: 'other' })).toMatchObject({
      failure: { code: 'email_taken' },
    });
    expect(hash).not.toHaveBeenCalled();
    hash.mockRestore();
  });

  it('detects a username taken while the password was being hashed', async () => {
    const meanwhile = { ...anna, email: 'other@example.com' };
    const overtaken = accounts({
      passwords: {
        ...passwords,
        async hash(password, network) {
          await accounts().create(meanwhile);
          return passwords.hash(password, network);
        },
      },
    });
    expect(await overtaken.create(anna)).toEqual({ kind: 'failed', failure: { code: 'username_taken' } });
  });

  it('creates nothing when overloaded', async () => {
    const crowded = accounts({ passwords: { ...passwords, ...busy } });
    expect(await crowded.create(anna)).toEqual({ kind: 'failed', failure: { code: 'overloaded', retryAfter: 5 } });
    expect(await store.findAccountByEmail(anna.email)).toBeUndefined();
  });
});

describe('checking a password', () => {
  beforeEach(() => accounts().create(anna));

  it('returns the account', async () => {
    expect(await accounts().checkPassword(login)).toMatchObject({ account: { username: 'Anna' } });
  });

  it('answers a wrong password, an unknown email and a malformed hash alike, after the same work', async () => {
    const verify = vi.spyOn(passwords, 'verify');
    const userId = expect.any(String);
    const wrong = { kind: 'failed', failure: { code: 'invalid_credentials' }, email: anna.email, userId };
    expect(await accounts().checkPassword({ ...login, password: 'wrong' })).toEqual(wrong);
    expect(await accounts().checkPassword({ ...login, email: 'nobody@example.com' })).toEqual({
      ...wrong,
      email: 'nobody@example.com',
      userId: undefined,
    });
    expect(verify).toHaveBeenCalledTimes(2);
    database.db.$client.exec(`update users set password_hash = ''`);
    expect(await accounts().checkPassword(login)).toEqual(wrong);
    expect(verify).toHaveBeenCalledTimes(3);
    verify.mockRestore();
  });

  it('accepts an old password that could no longer be set', async () => {
    expect(await accounts({ passwordMinLength: 64 }).checkPassword(login)).toHaveProperty('account');
  });

  it('reports overload, not a wrong password', async () => {
    const crowded = accounts({ passwords: { ...passwords, ...busy } });
    expect(await crowded.checkPassword(login)).toEqual({
      kind: 'failed',
      failure: { code: 'overloaded', retryAfter: 5 },
    });
  });

  it('rehashes a correct password when the cost has changed', async () => {
    const raised = accounts({ passwords: stronger });
    await raised.checkPassword({ ...login, password: 'wrong' });
    expect((await store.findAccountByEmail(anna.email))?.passwordHash).toMatch(/^\$2b\$04\$/);
    await raised.checkPassword(login);
    expect((await store.findAccountByEmail(anna.email))?.passwordHash).toMatch(/^\$2b\$05\$/);
    expect(await raised.checkPassword(login)).toHaveProperty('account');
  });

  it('keeps a hash whose cost is right', async () => {
    const before = await store.findAccountByEmail(anna.email);
    await accounts().checkPassword(login);
    expect(await store.findAccountByEmail(anna.email)).toEqual(before);
  });

  it('accepts a correct password without capacity to rehash it', async () => {
    const crowded = accounts({ passwords: { ...stronger, hash: busy.hash } });
    expect(await crowded.checkPassword(login)).toHaveProperty('account');
    expect((await store.findAccountByEmail(anna.email))?.passwordHash).toMatch(/^\$2b\$04\$/);
  });
});
