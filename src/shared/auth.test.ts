import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  grantSchema,
  loginInput,
  newPassword,
  registerInput,
  registerInputFor,
  userSchema,
  type User,
} from './auth.ts';

const valid = { username: 'Anna', email: 'anna@example.com', password: 'a good password' };

/** The messages for each field. */
function messages(input: unknown): Record<string, string[]> {
  const byField: Record<string, string[]> = {};
  for (const { path, message } of registerInput.safeParse(input).error?.issues ?? [])
    (byField[path.join('.')] ??= []).push(message);
  return byField;
}
const accepts = (changes: object) => registerInput.safeParse({ ...valid, ...changes }).success;

describe('a username', () => {
  it.each(['abc', 'a'.repeat(32), 'A.b_c-9', '...', '___', '123'])('may be %s', (username) => {
    expect(accepts({ username })).toBe(true);
  });

  it.each([
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
    expect(Object.keys(messages({ ...valid, username }))).toEqual(['username']);
  });

  it('keeps its case', () => {
    expect(registerInput.parse({ ...valid, username: 'AnNa' }).username).toBe('AnNa');
  });
});

describe('an email', () => {
  it('is trimmed and lower-cased when registering and when logging in', () => {
    const email = '  Anna.B@EXAMPLE.com ';
    expect(registerInput.parse({ ...valid, email }).email).toBe('anna.b@example.com');
    expect(loginInput.parse({ email, password: 'x' }).email).toBe('anna.b@example.com');
  });

  it.each([
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
  ])('may not be %j, with one message', (email) => {
    const said = messages({ ...valid, email });
    expect(Object.keys(said)).toEqual(['email']);
    expect(said['email']).toHaveLength(1);
  });

  it('may have at most 254 characters', () => {
    const domain = `${'d'.repeat(60)}.`.repeat(3) + 'example.com';
    const email = (length: number) => `${'a'.repeat(length - domain.length - 1)}@${domain}`;
    expect(email(254)).toHaveLength(254);
    expect(messages({ ...valid, email: email(254) })).toEqual({});
    expect(messages({ ...valid, email: email(255) })).toEqual({ email: ['Use at most 254 characters.'] });
  });

  it('is rejected quickly however long it is', () => {
    for (const filler of ['a', '@', '.', 'a.', ' '])
      expect(accepts({ email: `${filler.repeat(65_536)}@example.com` })).toBe(false);
  });
});

describe('a new password', () => {
  it.each([
    ['eight characters', 'abcdefgh'],
    ['spaces inside', 'a b c d e'],
    ['only digits', '8675309123'],
    ['eight emoji', '😀'.repeat(8)],
    ['128 emoji', '😀'.repeat(128)],
    ['text with NUL', 'abc\0defgh'],
    ['128 letters with combining accents', 'e\u0301'.repeat(128)],
  ])('may be %s', (_name, password) => {
    expect(messages({ ...valid, password })).toEqual({});
  });

  it.each([
    ['seven characters', 'abcdefg'],
    ['seven emoji, which are fourteen UTF-16 units', '😀'.repeat(7)],
    ['seven letters with combining accents', 'e\u0301'.repeat(7)],
    ['129 characters', 'a'.repeat(129)],
    ['129 emoji', '😀'.repeat(129)],
    ['text with a lone surrogate', 'abcdefgh\ud800'],
    ['a megabyte', 'a'.repeat(1_000_000)],
    ['nothing', ''],
    ['a number', 12_345_678],
    ['a list', ['abcdefgh']],
    ['null', null],
  ])('may not be %s', (_name, password) => {
    expect(Object.keys(messages({ ...valid, password }))).toEqual(['password']);
  });

  it('may not be the email or username in any case', () => {
    const username = 'Annabella';
    for (const password of ['annabella', 'ANNABELLA', 'anna@example.com', 'ANNA@Example.COM'])
      expect(messages({ username, email: 'Anna@example.com', password })).toEqual({
        password: ['Choose a password that is not your email or username.'],
      });
    expect(messages({ username, email: valid.email, password: 'annabella1' })).toEqual({});
  });

  it('is passed on as typed', () => {
    expect(registerInput.parse({ ...valid, password: ' cafe\u0301 noir ' }).password).toBe(' cafe\u0301 noir ');
  });

  it('has the minimum length that the server sets', () => {
    expect(newPassword(15).safeParse('a'.repeat(14)).success).toBe(false);
    expect(newPassword(15).safeParse('a'.repeat(15)).success).toBe(true);
    const form = registerInputFor(15).safeParse({ ...valid, password: 'a'.repeat(14) });
    expect(form.error?.issues.map(({ path, message }) => [path, message])).toEqual([
      [['password'], 'Use at least 15 characters.'],
    ]);
  });
});

describe('an existing password', () => {
  it('is bounded in length only, so that no policy locks anyone out', () => {
    for (const password of ['x', 'anna@example.com', 'password', '\ud800', 'a'.repeat(1_024)])
      expect(loginInput.safeParse({ email: valid.email, password }).success).toBe(true);
    for (const password of ['', 'a'.repeat(1_025), null, undefined, 1])
      expect(loginInput.safeParse({ email: valid.email, password }).success).toBe(false);
  });
});

describe('the input', () => {
  it('refuses unknown fields rather than ignoring them', () => {
    for (const extra of [{ id: 'other' }, { userId: 'other' }, { role: 'admin' }, { createdAt: 0 }]) {
      expect(accepts(extra)).toBe(false);
      expect(loginInput.safeParse({ email: valid.email, password: 'x', ...extra }).success).toBe(false);
    }
    const polluting = JSON.stringify(valid).replace('{', '{"__proto__":{"admin":true},');
    expect(registerInput.safeParse(JSON.parse(polluting)).success).toBe(false);
    expect('admin' in {}).toBe(false);
  });

  it.each([null, undefined, 'text', 1, [], [valid]])('refuses %j', (input) => {
    expect(registerInput.safeParse(input).success).toBe(false);
    expect(loginInput.safeParse(input).success).toBe(false);
  });
});

describe('what clients receive', () => {
  const user: User = {
    id: 'anna',
    username: 'Anna',
    email: valid.email,
    emailVerified: true,
    role: 'user',
    createdAt: '2030-01-01T00:00:00.000Z',
  };

  it('include six fields of a user, and no hash', () => {
    expectTypeOf<keyof User>().toEqualTypeOf<'id' | 'username' | 'email' | 'emailVerified' | 'role' | 'createdAt'>();
    expect(userSchema.parse({ ...user, passwordHash: 'hash' })).toEqual(user);
  });

  it('include a validated grant', () => {
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
