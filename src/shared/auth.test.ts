import { describe, expect, expectTypeOf, test } from 'vitest';
import { grantSchema, loginInput, newPassword, registerInput, userSchema, type User } from './auth.ts';

const valid = { username: 'Anna', email: 'anna@example.com', password: 'a good password' };

/** What is said of each field, by its name. */
function complaints(input: unknown): Record<string, string[]> {
  const said: Record<string, string[]> = {};
  for (const { path, message } of registerInput.safeParse(input).error?.issues ?? [])
    (said[path.join('.')] ??= []).push(message);
  return said;
}
const accepts = (changes: object) => registerInput.safeParse({ ...valid, ...changes }).success;

describe('a username', () => {
  test.each(['abc', 'a'.repeat(32), 'A.b_c-9', '...', '___', '123'])('may be %s', (username) => {
    expect(accepts({ username })).toBe(true);
  });

  test.each([
    '',
    'ab',
    'a'.repeat(33),
    'with space',
    ' anna',
    'anna\n',
    'änna',
    'аnna',
    'a@b',
    'a/b',
    '<b>',
    'ann\u212a',
    'anna\0',
    null,
    1,
    ['anna'],
    {},
    undefined,
  ])('may not be %j', (username) => {
    expect(Object.keys(complaints({ ...valid, username }))).toEqual(['username']);
  });

  test('is kept as it was written', () => {
    expect(registerInput.parse({ ...valid, username: 'AnNa' }).username).toBe('AnNa');
  });
});

describe('an email', () => {
  test('is trimmed and lower-cased, for registering as for logging in', () => {
    const email = '  Anna.B@EXAMPLE.com ';
    expect(registerInput.parse({ ...valid, email }).email).toBe('anna.b@example.com');
    expect(loginInput.parse({ email, password: 'x' }).email).toBe('anna.b@example.com');
  });

  test.each([
    '',
    '   ',
    'anna',
    'anna@',
    '@example.com',
    'anna@example',
    'anna@@example.com',
    'anna@example.com,bert@example.com',
    'anna@example.com bert@example.com',
    'Anna <anna@example.com>',
    'anna@exam\nple.com',
    'anna＠example.com',
    'änna@example.com',
    '\u212a@example.com',
    'anna@exämple.com',
    `${'a'.repeat(243)}@example.com`,
    ['anna@example.com'],
    { email: 'anna@example.com' },
    null,
    undefined,
  ])('may not be %j, and one thing is said about it', (email) => {
    const said = complaints({ ...valid, email });
    expect(Object.keys(said)).toEqual(['email']);
    expect(said['email']).toHaveLength(1);
  });

  test('may have 254 characters, and no more', () => {
    const domain = `${'d'.repeat(60)}.`.repeat(3) + 'example.com';
    const email = (length: number) => `${'a'.repeat(length - domain.length - 1)}@${domain}`;
    expect(email(254)).toHaveLength(254);
    expect(complaints({ ...valid, email: email(254) })).toEqual({});
    expect(complaints({ ...valid, email: email(255) })).toEqual({ email: ['Use at most 254 characters.'] });
  });

  test('is judged in no time, however long it is', () => {
    for (const filler of ['a', '@', '.', 'a.', ' '])
      expect(accepts({ email: `${filler.repeat(65_536)}@example.com` })).toBe(false);
  });
});

describe('a password, where it is set', () => {
  test.each([
    ['eight characters', 'abcdefgh'],
    ['spaces inside', 'a b c d e'],
    ['digits only', '8675309123'],
    ['eight emoji', '😀'.repeat(8)],
    ['128 emoji', '😀'.repeat(128)],
    ['NUL', 'abc\0defgh'],
    ['128 letters that are composed', 'e\u0301'.repeat(128)],
  ])('may be of %s', (_name, password) => {
    expect(complaints({ ...valid, password })).toEqual({});
  });

  test.each([
    ['seven characters', 'abcdefg'],
    ['seven emoji, which are fourteen units', '😀'.repeat(7)],
    ['seven letters that are composed', 'e\u0301'.repeat(7)],
    ['129 characters', 'a'.repeat(129)],
    ['129 emoji', '😀'.repeat(129)],
    ['a lone surrogate', 'abcdefgh\ud800'],
    ['a megabyte', 'a'.repeat(1_000_000)],
    ['nothing', ''],
    ['a number', 12_345_678],
    ['a list', ['abcdefgh']],
    ['nobody', null],
  ])('may not be of %s', (_name, password) => {
    expect(Object.keys(complaints({ ...valid, password }))).toEqual(['password']);
  });

  test('may not be the email or the username, in whatever case', () => {
    const username = 'Annabella';
    for (const password of ['annabella', 'ANNABELLA', 'anna@example.com', 'ANNA@Example.COM'])
      expect(complaints({ username, email: 'Anna@example.com', password })).toEqual({
        password: ['Choose a password that is not your email or username.'],
      });
    expect(complaints({ username, email: valid.email, password: 'annabella1' })).toEqual({});
  });

  test('is sent on as it was typed', () => {
    expect(registerInput.parse({ ...valid, password: ' cafe\u0301 noir ' }).password).toBe(' cafe\u0301 noir ');
  });

  test('may have to be longer, by the setting of the server', () => {
    expect(newPassword(15).safeParse('a'.repeat(14)).success).toBe(false);
    expect(newPassword(15).safeParse('a'.repeat(15)).success).toBe(true);
  });
});

describe('a password, where it is given', () => {
  test('is only bounded, so that no policy locks anybody out', () => {
    for (const password of ['x', 'anna@example.com', 'password', '\ud800', 'a'.repeat(1_024)])
      expect(loginInput.safeParse({ email: valid.email, password }).success).toBe(true);
    for (const password of ['', 'a'.repeat(1_025), null, undefined, 1])
      expect(loginInput.safeParse({ email: valid.email, password }).success).toBe(false);
  });
});

test('there are no other fields: what nobody asked for is refused, not ignored', () => {
  for (const extra of [{ id: 'other' }, { userId: 'other' }, { role: 'admin' }, { createdAt: 0 }]) {
    expect(accepts(extra)).toBe(false);
    expect(loginInput.safeParse({ email: valid.email, password: 'x', ...extra }).success).toBe(false);
  }
  const polluting = JSON.stringify(valid).replace('{', '{"__proto__":{"admin":true},');
  expect(registerInput.safeParse(JSON.parse(polluting)).success).toBe(false);
  expect('admin' in {}).toBe(false);
});

test.each([null, undefined, 'text', 1, [], [valid]])('%j is no input at all', (input) => {
  expect(registerInput.safeParse(input).success).toBe(false);
  expect(loginInput.safeParse(input).success).toBe(false);
});

describe('what a client may know', () => {
  const user = { id: 'anna', username: 'Anna', email: valid.email, createdAt: '2030-01-01T00:00:00.000Z' };

  test('of a person is four things, and a hash is not among them', () => {
    expectTypeOf<keyof User>().toEqualTypeOf<'id' | 'username' | 'email' | 'createdAt'>();
    expect(userSchema.parse({ ...user, passwordHash: 'hash' })).toEqual(user);
  });

  test('of a grant is checked before it is believed', () => {
    const grant = { accessToken: 'a.b.c', expiresIn: 900, session: { id: 'session', generation: 1 }, user };
    expect(grantSchema.parse(grant)).toEqual(grant);
    for (const wrong of [
      { accessToken: '' },
      { expiresIn: 0 },
      { expiresIn: '900' },
      { session: { id: '', generation: 1 } },
      { session: { id: 'session', generation: 0 } },
      { session: { id: 'session', generation: 1.5 } },
      { user: null },
    ])
      expect(grantSchema.safeParse({ ...grant, ...wrong }).success).toBe(false);
  });
});
