import { createTRPCClient, httpBatchLink, httpLink, TRPCClientError } from '@trpc/client';
import { describe, expect, it } from 'vitest';
import type { Grant } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import type { AppRouter } from '../router.ts';
import { testWorld, type TestClient } from '../testing/world.ts';
import { LIMITS } from './limits/throttle.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const ada = { username: 'Ada', email: ' Ada@Example.COM ', password: 'correct horse battery' };

/** Advances two minutes, so that the refresh rotates instead of racing with the last one. */
async function rotate(client: TestClient, clock: { advance(ms: number): void }) {
  clock.advance(2 * MINUTE);
  return client.mutate('auth.refresh');
}

describe('registering', () => {
  it('logs in with a grant and the cookie', async () => {
    await using world = await testWorld();
    const answer = await world.client().mutate('auth.register', ada);
    expect(answer.status).toBe(200);
    expect(answer.data).toEqual({
      accessToken: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      expiresIn: 900,
      session: { id: expect.any(String), generation: 1 },
      user: {
        id: expect.any(String),
        username: 'Ada',
        email: 'ada@example.com',
        emailVerified: false,
        role: 'user',
        createdAt: '2030-01-01T00:00:00.000Z',
      },
    });
    expect(answer.setCookie).toMatch(
      /^__Host-refreshToken=[^;]+; Max-Age=604800; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Strict$/,
    );
  });

  it('sets a cookie that works without HTTPS in development', async () => {
    await using world = await testWorld({ production: false });
    const { setCookie } = await world.client().mutate('auth.register', ada);
    expect(setCookie).toMatch(
      /^refreshToken=[^;]+; Max-Age=604800; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Strict$/,
    );
  });

  it('reports whether the username or the email is taken, in any case', async () => {
    await using world = await testWorld();
    await world.client().mutate('auth.register', ada);
    const other = { username: 'Grace', email: 'grace@example.com', password: 'another good one' };
    const client = world.client();
    const username = await client.mutate('auth.register', { ...other, username: 'aDA' });
    expect([username.status, username.failure]).toEqual([409, { code: 'username_taken' }]);
    const email = await client.mutate('auth.register', { ...other, email: 'ADA@example.com' });
    expect([email.status, email.failure]).toEqual([409, { code: 'email_taken' }]);
    expect(client.cookie).toBeUndefined();
    expect((await client.mutate('auth.register', other)).status).toBe(200);
  });

  it('creates one account from concurrent attempts with one email', async () => {
    await using world = await testWorld();
    const { points } = LIMITS.registrationMail;
    const answers = await Promise.all(
      Array.from({ length: points }, (_, index) =>
        world.client().mutate('auth.register', { ...ada, username: `ada${index}` }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200,
      ...Array<number>(points - 1).fill(409),
    ]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a missing username', { username: undefined }, 'username'],
    ['a username of another type', { username: 7 }, 'username'],
    ['a short username', { username: 'ab' }, 'username'],
    ['a long username', { username: 'a'.repeat(33) }, 'username'],
    ['a username with a space', { username: 'a b' }, 'username'],
    ['a username with a control character', { username: 'ab\u0000c' }, 'username'],
    ['a username beyond ASCII', { username: 'pаypal' }, 'username'],
    ['a missing email', { email: undefined }, 'email'],
    ['an email of another type', { email: ['a@b.co'] }, 'email'],
    ['an email without a domain', { email: 'ada' }, 'email'],
    ['an email with a newline', { email: 'a@b.co\nc' }, 'email'],
    ['an email with a fullwidth sign', { email: 'a＠b.co' }, 'email'],
    ['an email that lower-casing would make plain', { email: '\u212Aate@example.com' }, 'email'],
    ['a long email', { email: `${'a'.repeat(250)}@b.co` }, 'email'],
    ['two emails', { email: 'a@b.co,c@d.co' }, 'email'],
    ['a missing password', { password: undefined }, 'password'],
    ['a password of another type', { password: 12345678 }, 'password'],
    ['a short password', { password: '1234567' }, 'password'],
    ['a password that is short in characters, not in bytes', { password: '😀'.repeat(7) }, 'password'],
    ['a long password', { password: 'a'.repeat(129) }, 'password'],
    ['a password that cannot be stored', { password: `\ud800`.repeat(15) }, 'password'],
    ['a common password', { password: 'Password1' }, 'password'],
    ['the email as password', { password: 'ada@example.com' }, 'password'],
    ['the username as password', { username: 'ada.lovelace', password: 'ADA.lovelace' }, 'password'],
    ['an unknown field', { isAdmin: true }, 'isAdmin'],
  ])('refuses %s at its field and writes nothing', async (_, change, field) => {
    await using world = await testWorld();
    const client = world.client();
    const answer = await client.mutate('auth.register', { ...ada, ...change });
    expect([answer.status, answer.failure]).toEqual([
      400,
      { code: 'invalid_input', fields: { [field]: [expect.any(String)] } },
    ]);
    expect(client.cookie).toBeUndefined();
    expect((await client.mutate('auth.register', { ...ada, username: 'ada.lovelace' })).status).toBe(200);
  });

  it('applies the configured minimum length of a password', async () => {
    await using world = await testWorld({ passwordMinLength: 15 });
    const client = world.client();
    const short = await client.mutate('auth.register', { ...ada, password: 'fourteen chars' });
    expect(short.failure).toEqual({ code: 'invalid_input', fields: { password: ['Use at least 15 characters.'] } });
    expect((await client.mutate('auth.register', { ...ada, password: 'fifteen chars..' })).status).toBe(200);
  });

  // Regression: an account was left behind, so registering again failed with `email_taken`.
  it('leaves no account if the session cannot be created', async () => {
    await using world = await testWorld();
    await world.sql('alter table sessions rename to elsewhere');
    const person = { username: 'ada', email: 'ada@example.com', password: 'weaves algebraic patterns' };
    expect((await world.client().mutate('auth.register', person)).status).toBe(500);
    await world.sql('alter table elsewhere rename to sessions');
    expect((await world.client().mutate('auth.register', person)).status).toBe(200);
  });
});

describe('logging in', () => {
  it('takes the email in any case and the whole password', async () => {
    await using world = await testWorld();
    const password = `${'A'.repeat(72)} and then some`;
    await world.client().mutate('auth.register', { ...ada, password });
    const client = world.client();
    const truncated = await client.mutate('auth.login', { email: ada.email, password: 'A'.repeat(72) });
    expect(truncated.failure).toEqual({ code: 'invalid_credentials' });
    const answer = await client.mutate('auth.login', { email: 'ADA@example.com', password });
    expect(answer.data).toMatchObject({ session: { generation: 1 }, user: { username: 'Ada' } });
  });

  it('answers an unknown email and a wrong password identically, to the byte', async () => {
    await using world = await testWorld();
    await world.client().mutate('auth.register', ada);
    const answers = [];
    for (const email of ['ada@example.com', 'nobody@example.com']) {
      const { status, body, headers } = await world
        .client()
        .mutate('auth.login', { email, password: 'wrong password' });
      const named = [...headers].filter(([name]) => name !== 'x-request-id' && name !== 'date');
      answers.push({ status, body, named });
    }
    expect(answers[0]).toMatchObject({
      status: 401,
      body: { error: { data: { failure: { code: 'invalid_credentials' } } } },
    });
    expect(answers[1]).toEqual(answers[0]);
  });

  it('ends the session whose cookie the request carried, and no other', async () => {
    await using world = await testWorld();
    const phone = world.client();
    const { password, user } = await phone.register();
    const laptop = world.client();
    await laptop.mutate('auth.login', { email: user.email, password });
    const before = { cookie: laptop.cookie, accessToken: laptop.accessToken };
    await laptop.mutate('auth.login', { email: user.email, password });
    expect((await laptop.query('auth.me')).status).toBe(200);
    expect((await phone.query('auth.me')).status).toBe(200);
    Object.assign(laptop, before);
    expect((await laptop.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    expect((await laptop.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
  });

  it('rehashes the password when the cost has changed', async () => {
    await using world = await testWorld();
    const { user, password } = await world.client().register();
    const dollars = async () => JSON.stringify(await world.sql('select password_hash as hash from users'));
    expect(await dollars()).toContain('$2b$04$');
    // The same password at cost 5, as a server with another setting would have stored it.
    const { createPasswords } = await import('./passwords/hash.ts');
    const passwords = createPasswords({ cost: 5, onMalformedHash: () => expect.unreachable() });
    const hashed = await passwords.hash(password);
    await passwords.close();
    await world.sql(`update users set password_hash = '${hashed.kind === 'hashed' ? hashed.hash : hashed.kind}'`);
    expect(await dollars()).toContain('$2b$05$');
    expect((await world.client().mutate('auth.login', { email: user.email, password })).status).toBe(200);
    expect(await dollars()).toContain('$2b$04$');
  });
});

describe('refreshing', () => {
  it('rotates to the next generation, with a new cookie and a new idle lifetime', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { session, user } = await client.register();
    const first = client.cookie;
    const answer = await rotate(client, world.clock);
    expect(answer.data).toEqual({
      accessToken: expect.any(String),
      expiresIn: 900,
      session: { id: session.id, generation: 2 },
      user,
    });
    expect(answer.setCookie).toContain('Max-Age=604800;');
    expect(client.cookie).not.toBe(first);
  });

  it('works again after a lost answer, even an hour later', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const { cookie } = client;
    await rotate(client, world.clock);
    world.clock.advance(60 * MINUTE);
    client.cookie = cookie;
    const retried = await client.mutate('auth.refresh');
    expect(retried.data).toMatchObject({ session: { generation: 2 } });
    expect((await rotate(client, world.clock)).data).toMatchObject({ session: { generation: 3 } });
  });

  it('gives concurrent refreshes the same generation', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    world.clock.advance(2 * MINUTE);
    const { cookie } = client;
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        client.mutate('auth.refresh', undefined, { headers: { cookie: `__Host-refreshToken=${cookie}` } }),
      ),
    );
    expect(answers.map(({ status, data }) => [status, (data as Grant).session.generation])).toEqual(
      Array.from({ length: 20 }, () => [200, 2]),
    );
  });

  it('answers a refresh within the reuse interval with an access token and no cookie', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    await rotate(client, world.clock);
    const kept = await client.mutate('auth.refresh');
    expect(kept.data).toMatchObject({ session: { generation: 2 } });
    expect(kept.setCookie).toBeUndefined();
  });

  it('ends the session for all holders when a superseded token is used after its successor', async () => {
    await using world = await testWorld();
    const owner = world.client();
    await owner.register();
    const stolen = owner.cookie;
    await rotate(owner, world.clock);
    await owner.query('auth.me');
    world.clock.advance(2 * MINUTE);
    const thief = world.client();
    thief.cookie = stolen;
    const caught = await thief.mutate('auth.refresh');
    expect([caught.status, caught.failure]).toEqual([401, { code: 'session_ended', reason: 'reused' }]);
    expect((await owner.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'reused' });
    expect((await owner.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'reused' });
  });

  it('neither sets nor clears the cookie when it is refused', async () => {
    await using world = await testWorld();
    for (const cookie of [undefined, '', 'x', 'a.b.c']) {
      const client = world.client();
      client.cookie = cookie;
      const answer = await client.mutate('auth.refresh');
      expect(answer.status).toBe(401);
      expect(answer.failure).toEqual({ code: 'session_ended', reason: cookie === undefined ? 'none' : 'invalid' });
      expect(answer.setCookie).toBeUndefined();
    }
  });

  it('records a reused session even if refused refreshes are rate-limited', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const stolen = client.cookie;
    await rotate(client, world.clock);
    await client.query('auth.me');
    world.clock.advance(2 * MINUTE);
    const stranger = world.client();
    for (let call = 0; call < LIMITS.refreshRefused.points; call += 1) await stranger.mutate('auth.refresh');
    stranger.cookie = stolen;
    expect((await stranger.mutate('auth.refresh')).failure?.code).toBe('rate_limited');
    expect(await world.sql('select type from audit_events')).toContainEqual({ type: 'reused' });
  });

  it('refuses two copies of the cookie and changes nothing', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    world.clock.advance(2 * MINUTE);
    const two = `__Host-refreshToken=${client.cookie}; a=b; __Host-refreshToken=${client.cookie}`;
    const answer = await client.mutate('auth.refresh', undefined, { headers: { cookie: two } });
    expect([answer.failure, answer.setCookie]).toEqual([{ code: 'session_ended', reason: 'invalid' }, undefined]);
    expect((await client.mutate('auth.refresh')).data).toMatchObject({ session: { generation: 2 } });
  });

  it('ignores cookies with similar names', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    for (const name of ['refreshToken', '__Secure-refreshToken', '__host-refreshToken', '__Host-REFRESHTOKEN']) {
      const headers = { cookie: `${name}=${client.cookie}` };
      expect((await client.mutate('auth.refresh', undefined, { headers })).failure).toEqual({
        code: 'session_ended',
        reason: 'none',
      });
    }
  });

  it('ends when idle, and at its absolute limit no matter how often it is used', async () => {
    await using world = await testWorld();
    const idle = world.client();
    await idle.register();
    const busy = world.client();
    await busy.register();
    for (let day = 1; day < 30; day += 1) {
      world.clock.advance(DAY);
      const { status, setCookie } = await busy.mutate('auth.refresh');
      expect(status).toBe(200);
      expect(Number(/Max-Age=(\d+)/.exec(setCookie ?? '')?.[1])).toBe(Math.min(7, 30 - day) * 86_400);
    }
    expect((await idle.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'expired' });
    world.clock.advance(DAY);
    expect((await busy.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'expired' });
    expect((await busy.query('auth.me')).status).toBe(401);
  });

  it('does not accept an access token', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { accessToken } = await client.register();
    client.cookie = accessToken;
    expect((await client.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'invalid' });
  });
});

describe('logging out', () => {
  it('ends the session immediately, clears the cookie and returns null', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const { cookie } = client;
    const answer = await client.mutate('auth.logout');
    expect(answer.body).toEqual({ result: { data: null } });
    expect(answer.setCookie).toMatch(
      /^__Host-refreshToken=; Path=\/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict$/,
    );
    expect((await client.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    client.cookie = cookie;
    expect((await client.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
  });

  it('succeeds in any state', async () => {
    await using world = await testWorld();
    for (const cookie of [undefined, 'x', 'a.b.c']) {
      const client = world.client();
      client.cookie = cookie;
      expect((await client.mutate('auth.logout')).body).toEqual({ result: { data: null } });
    }
  });

  it.each(['superseded', 'expired'])('ends the session of a token that is %s', async (kind) => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const old = client.cookie;
    await rotate(client, world.clock);
    if (kind === 'expired') world.clock.advance(8 * DAY);
    await client.mutate('auth.logout', undefined, { headers: { cookie: `__Host-refreshToken=${old}` } });
    expect(await world.sql('select end_reason as reason from sessions')).toEqual([{ reason: 'revoked' }]);
  });

  it("ends the Bearer token's session if there is no cookie, expired or not", async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const { cookie } = client;
    world.clock.advance(20 * MINUTE);
    client.cookie = undefined;
    expect((await client.mutate('auth.logout')).status).toBe(200);
    client.cookie = cookie;
    expect((await client.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
  });

  it('cannot be blocked by others behind the same address', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const nobody = world.client();
    let refused = 0;
    for (let call = 0; call <= LIMITS.logoutWithoutSession.points; call += 1)
      if ((await nobody.mutate('auth.logout')).failure?.code === 'rate_limited') refused += 1;
    expect(refused).toBe(1);
    expect((await client.mutate('auth.logout')).status).toBe(200);
    expect((await client.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
  });

  it('prefers the cookie to the Bearer token', async () => {
    await using world = await testWorld();
    const one = world.client();
    const two = world.client();
    await one.register();
    const { accessToken } = await two.register();
    await one.mutate('auth.logout', undefined, { headers: { authorization: `Bearer ${accessToken}` } });
    expect((await two.query('auth.me')).status).toBe(200);
    expect((await one.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
  });
});

describe('the router', () => {
  it('serves the standard tRPC client, batched or not, with types end to end', async () => {
    await using world = await testWorld();
    let token = '';
    for (const link of [httpLink, httpBatchLink]) {
      const client = createTRPCClient<AppRouter>({
        links: [
          link({ url: `${world.url}/trpc`, headers: () => (token === '' ? {} : { authorization: `Bearer ${token}` }) }),
        ],
      });
      const name = `standard-${link.name}`;
      const grant = await client.auth.register.mutate({
        username: name,
        email: `${name}@example.com`,
        password: 'correct horse battery',
      });
      token = grant?.accessToken ?? '';
      expect((await client.auth.me.query()).username).toBe(name);
      token = '';
      const error: unknown = await client.auth.me.query().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(TRPCClientError);
      expect(failureOf(error)).toEqual({ code: 'access_token_missing' });
    }
  });
});

describe('a protected call', () => {
  it('returns the user, field by field', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register();
    const { data } = await client.query('auth.me');
    expect(data).toEqual(user);
    expect(new Set(Object.keys(data as object))).toEqual(
      new Set(['createdAt', 'email', 'emailVerified', 'id', 'role', 'username']),
    );
  });

  it('is refused without a token, with an expired one and with anything invalid', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const cookie = client.cookie ?? '';
    const anonymous = await world.client().query('auth.me');
    expect([anonymous.status, anonymous.failure]).toEqual([401, { code: 'access_token_missing' }]);
    for (const authorization of [
      'Bearer',
      'Bearer x',
      'Bearer a.b.c',
      'Basic YTpi',
      `Bearer ${cookie}`,
      'Bearer %E0%A4%A',
    ])
      expect((await client.query('auth.me', { headers: { authorization } })).failure).toEqual({
        code: 'access_token_invalid',
      });
    world.clock.advance(15 * MINUTE);
    expect((await client.query('auth.me')).failure).toEqual({ code: 'access_token_expired' });
  });

  it('reports the session as expired where its row is missing', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    // Purging itself waits until every token has expired; a restored backup need not have the row.
    await world.sql('delete from sessions');
    expect((await client.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'expired' });
    expect((await client.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'expired' });
  });

  it('authenticates a batch once', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register();
    let calls = 0;
    const { authenticate } = world.services.sessions;
    world.services.sessions.authenticate = (token) => {
      calls += 1;
      return authenticate(token);
    };
    const { body } = await client.query(`${Array<string>(20).fill('auth.me').join(',')}?batch=1`);
    expect(body).toEqual(Array.from({ length: 20 }, () => ({ result: { data: user } })));
    expect(calls).toBe(1);
  });
});
