import { TRPCError } from '@trpc/server';
import Database from 'better-sqlite3';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testWorld } from './testing/world.ts';

const lines = (log: string[]) => log.map((line) => JSON.parse(line) as Record<string, unknown>);

/** A line is logged when the response closes, which the client cannot see. */
async function requestLines(log: string[], count: number) {
  for (;;) {
    const found = lines(log).filter(({ msg }) => msg === 'request');
    if (found.length >= count) return found;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

describe('an unexpected error', () => {
  it.each([true, false])(
    'is hidden from the caller in production and logged with its cause (production: %s)',
    async (production) => {
      await using world = await testWorld({ production });
      const secret = 'SELECT * FROM users WHERE path = /etc/latchkey';
      world.services.accounts.prepare = () => Promise.reject(new Error(secret));
      const answer = await world.client().mutate('auth.register', {
        username: 'ada',
        email: 'ada@example.com',
        password: 'CANARY password',
      });
      const id = answer.headers.get('x-request-id');
      expect(answer.body).toEqual({
        error: {
          message: production ? 'INTERNAL_SERVER_ERROR' : secret,
          code: -32603,
          data: { code: 'INTERNAL_SERVER_ERROR', httpStatus: 500, path: 'auth.register', requestId: id },
        },
      });
      const errors = lines(world.log).filter(({ level }) => level === 50);
      expect(errors).toEqual([
        expect.objectContaining({ requestId: id, err: expect.objectContaining({ message: secret }) }),
      ]);
      expect(JSON.stringify(world.log)).not.toContain('CANARY');
    },
  );

  it('is logged as well if a procedure threw it as a TRPCError, which has no cause', async () => {
    await using world = await testWorld();
    const thrown = new TRPCError({ code: 'INTERNAL_SERVER_ERROR', message: 'the report is missing' });
    world.services.accounts.checkPassword = () => Promise.reject(thrown);
    const answer = await world.client().mutate('auth.login', { email: 'ada@example.com', password: 'password' });
    expect(JSON.stringify(answer.body)).not.toContain('report');
    expect(lines(world.log).filter(({ level }) => level === 50)).toEqual([
      expect.objectContaining({
        requestId: answer.headers.get('x-request-id'),
        err: expect.objectContaining({ message: 'the report is missing' }),
      }),
    ]);
  });
});

describe('the log', () => {
  it('has one line per request, with its procedures and their outcome', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    await client.query('auth.me,auth.nothing?batch=1');
    await client.mutate('auth.login', undefined, { body: '{' });
    expect(await requestLines(world.log, 3)).toMatchObject([
      { method: 'POST', procedures: ['auth.register'], status: 200, outcome: 'ok' },
      { method: 'GET', procedures: ['auth.me', 'unknown'], status: 207, outcome: ['NOT_FOUND'] },
      { method: 'POST', status: 400, outcome: ['invalid_input'] },
    ]);
  });

  it.each([true, false])(
    'includes requests for client files only in production (production: %s)',
    async (production) => {
      await using world = await testWorld({ production, logLevel: 'info' });
      for (const path of ['healthz', 'trpc/auth.me', 'nope']) await (await fetch(`${world.url}/${path}`)).text();
      const statuses = () => world.log.flatMap((line) => (JSON.parse(line) as { status?: number }).status ?? []);
      await expect.poll(statuses).toEqual(production ? [200, 401, 404] : [401, 404]);
    },
  );

  it('contains no password, token or cookie, and input cannot forge a line', async () => {
    await using world = await testWorld();
    const client = world.client();
    const canary = 'CANARY\r\n{"level":30,"msg":"forged"}\u001b[2J';
    const secrets = [canary, 'CANARY'];
    await client.mutate('auth.register', { username: 'ada', email: 'ada@example.com', password: canary });
    secrets.push(client.cookie ?? '', client.accessToken ?? '');
    const headers = { 'user-agent': 'agent {"level":30}', origin: 'https://evil.test/CANARY' };
    await client.mutate('auth.login', { email: 'ada@example.com', password: 'CANARY wrong' }, { headers });
    await client.mutate('auth.login', { email: 'ada@example.com', password: 'CANARY wrong' });
    await client.mutate('auth.login', undefined, { body: '{"password":"CANARY' });
    await client.query('auth.CANARY?input="CANARY"');
    await client.mutate('auth.login', { email: 'ada@example.com', password: canary });
    secrets.push(client.cookie ?? '', client.accessToken ?? '');
    client.accessToken = 'CANARY.a.b';
    await client.query('auth.me');
    await client.mutate('auth.logout');
    await requestLines(world.log, 8);
    const everything = world.log.filter((line) => !line.includes('origin_refused')).join('');
    for (const secret of secrets) expect(everything).not.toContain(secret);
    for (const token of secrets.slice(2))
      for (const part of token.split('.').slice(1)) expect(everything).not.toContain(part);
    expect(world.log.every((line) => line.trimEnd().split('\n').length === 1)).toBe(true);
    expect(lines(world.log).map(({ msg }) => msg)).not.toContain('forged');
  });
});

describe('the audit log', () => {
  it('has exactly one event per action', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user, password, session } = await client.register('ada');
    const stolen = client.cookie;
    await client.mutate('auth.login', { email: user.email, password: 'wrong' });
    world.clock.advance(120_000);
    await client.mutate('auth.refresh');
    await client.query('auth.me');
    world.clock.advance(120_000);
    const thief = world.client();
    thief.cookie = stolen;
    await thief.mutate('auth.refresh');
    await thief.mutate('auth.refresh');
    await client.query('auth.me');
    await client.mutate('auth.login', { email: user.email, password });
    await client.mutate('auth.login', { email: user.email, password });
    await client.mutate('auth.logout');
    await client.mutate('auth.logout');
    for (let again = 0; again < 3; again += 1)
      await client.mutate('auth.logout', undefined, { headers: { origin: 'https://evil.test' } });

    const stored = world.services.db.$client.prepare('select type, user_id as userId, detail from audit_events').all();
    const known = { userId: user.id, detail: null };
    expect(stored).toEqual([
      { type: 'registered', ...known },
      { type: 'sign_in_failed', userId: user.id, detail: expect.not.stringContaining('ada') },
      { type: 'reused', ...known },
      { type: 'signed_in', ...known },
      { type: 'signed_in', ...known },
      { type: 'ended', ...known },
      { type: 'signed_out', ...known },
      { type: 'origin_refused', userId: null, detail: 'https://evil.test' },
    ]);
    const logged = lines(world.log).flatMap(({ audit }) => (audit === undefined ? [] : [audit]));
    expect(logged).toHaveLength(stored.length);
    expect(logged[2]).toMatchObject({ type: 'reused', sessionId: session.id, ip: '127.0.0.1', at: expect.any(Number) });
  });

  it('has one event for a session found to be reused by a batch of calls', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const first = client.cookie;
    const tokens: (string | undefined)[] = [];
    // Twice with the first cookie, as if the first answer had been lost: two access tokens of one generation.
    for (let refreshes = 0; refreshes < 2; refreshes += 1) {
      world.clock.advance(2 * 60_000);
      client.cookie = first;
      await client.mutate('auth.refresh');
      tokens.push(client.accessToken);
    }
    const outcomes: unknown[] = [];
    for (const token of tokens)
      outcomes.push(
        (await client.query('auth.me,auth.me?batch=1', { headers: { authorization: `Bearer ${token}` } })).status,
      );
    expect(outcomes).toEqual([200, 401]);
    const reused = world.services.db.$client.prepare("select * from audit_events where type = 'reused'").all();
    expect(reused).toHaveLength(1);
  });

  it('records only the first refusal of a limit', async () => {
    await using world = await testWorld();
    const client = world.client();
    for (let tried = 0; tried < 15; tried += 1)
      await client.mutate('auth.login', { email: 'ada@example.com', password: 'wrong' });
    const refused = await client.mutate('auth.login', { email: ' ADA@example.com', password: 'wrong' });
    expect([refused.status, refused.failure]).toEqual([429, { code: 'rate_limited', retryAfter: expect.any(Number) }]);
    const { retryAfter } = refused.failure as { retryAfter: number };
    expect(refused.headers.get('retry-after')).toBe(String(retryAfter));
    const count = world.services.db.$client
      .prepare('select type, count(*) as n from audit_events group by type order by type')
      .all();
    expect(count).toEqual([
      { type: 'limited', n: 1 },
      { type: 'sign_in_failed', n: 11 },
    ]);
  });
});

describe('a known device', () => {
  it.each(['auth.register', 'auth.login'])(
    'from %s lets its owner in while somebody else is guessing',
    async (path) => {
      await using world = await testWorld();
      const owner = world.client();
      const user = { username: 'ada', email: 'ada@example.com', password: 'weaves algebraic patterns' };
      const { password } = user;
      const registered = await world.client().mutate('auth.register', user);
      const signedIn =
        path === 'auth.register' ? registered : await owner.mutate(path, { email: user.email, password });
      const device = signedIn.headers.getSetCookie().find((cookie) => cookie.startsWith('__Host-device='));
      expect(device).toMatch(/; Max-Age=34560000; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Strict$/);
      for (let tried = 0; tried < 12; tried += 1)
        await world.client().mutate('auth.login', { email: user.email, password: 'wrong' });
      const stranger = await world.client().mutate('auth.login', { email: user.email, password });
      expect(stranger.failure?.code).toBe('rate_limited');
      const headers = { cookie: String(device).split(';', 1)[0] ?? '' };
      const known = await owner.mutate('auth.login', { email: user.email, password }, { headers });
      expect(known.status).toBe(200);
      expect(known.headers.getSetCookie()).toHaveLength(1);
      // It is known for that account only, and grants no access on its own.
      const other = await world.client().mutate('auth.login', { email: 'other@example.com', password }, { headers });
      expect(other.failure?.code).toBe('invalid_credentials');
    },
  );
});

describe('an unavailable database', () => {
  it('is answered with `overloaded`, and nothing is lost', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-'));
    try {
      await using world = await testWorld({ database: { kind: 'sqlite', path: join(folder, 'app.db') } });
      const client = world.client();
      const { user, password } = await client.register();
      world.clock.advance(120_000);
      const other = new Database(join(folder, 'app.db'));
      other.exec('begin exclusive');
      for (const path of ['auth.refresh', 'auth.logout', 'auth.login']) {
        const answer = await client.mutate(path, { email: user.email, password });
        expect([path, answer.status, answer.failure, answer.setCookie]).toEqual([
          path,
          503,
          { code: 'overloaded', retryAfter: 1 },
          undefined,
        ]);
        expect(answer.headers.get('retry-after')).toBe('1');
      }
      // Reads still work, and so does what needs no database.
      expect((await client.query('auth.me')).status).toBe(200);
      const headers = { origin: 'https://evil.test' };
      expect((await client.query('auth.me', { headers })).failure).toEqual({ code: 'origin_not_allowed' });
      expect(world.log.join('')).toContain('Could not write an audit event to the database');
      expect((await fetch(`${world.url}/readyz`)).status).toBe(503);
      other.exec('rollback');
      other.close();
      expect((await fetch(`${world.url}/readyz`)).status).toBe(200);
      expect((await client.query('auth.me')).status).toBe(200);
      expect((await client.mutate('auth.refresh')).data).toMatchObject({ session: { generation: 2 } });
      world.services.db.$client.pragma('query_only = 1');
      expect((await client.mutate('auth.logout')).failure).toEqual({ code: 'overloaded', retryAfter: 1 });
      expect((await client.query('auth.me')).status).toBe(200);
      world.services.db.$client.pragma('query_only = 0');
      expect((await client.mutate('auth.logout')).status).toBe(200);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('health checks', () => {
  it('report the server as alive, and as ready until it drains or the database is gone', async () => {
    const world = await testWorld();
    const status = async (path: string) => {
      const response = await fetch(`${world.url}${path}`);
      return [response.status, await response.json()];
    };
    expect(await status('/healthz')).toEqual([200, { status: 'ok' }]);
    expect(await status('/readyz')).toEqual([200, { status: 'ok' }]);
    expect((await fetch(`${world.url}/healthz`)).headers.get('connection')).toBe('keep-alive');
    world.services.drain();
    expect(await status('/readyz')).toEqual([503, { status: 'unavailable' }]);
    expect((await fetch(`${world.url}/healthz`)).headers.get('connection')).toBe('close');
    expect(await status('/healthz')).toEqual([200, { status: 'ok' }]);
    await world[Symbol.asyncDispose]();

    await using gone = await testWorld();
    const member = gone.client();
    await member.register();
    gone.services.db.$client.close();
    expect((await fetch(`${gone.url}/readyz`)).status).toBe(503);
    expect((await gone.client().mutate('auth.login', { email: 'a@b.co', password: 'x' })).failure?.code).toBe(
      'overloaded',
    );
    expect((await member.query('auth.me')).failure).toEqual({ code: 'overloaded', retryAfter: 1 });
  });
});

describe('Server-Timing of a page', () => {
  it.each([true, false])(
    'reports the minimum password length and the session cookie (production: %s)',
    async (production) => {
      await using world = await testWorld({ production, passwordMinLength: 12, mail: undefined });
      const name = production ? '__Host-refreshToken' : 'refreshToken';
      const timing = async (path: string, cookie: string) =>
        (await fetch(`${world.url}${path}`, { headers: { cookie } })).headers.get('server-timing');
      expect(await timing('/login', '')).toBe('password-min-length;desc="12"');
      expect(await timing('/login', 'other=x')).toBe('password-min-length;desc="12"');
      expect(await timing('/dashboard', `${name}=x`)).toBe('password-min-length;desc="12", session');
      // Two copies are never trusted, so there is no session to ask for.
      expect(await timing('/dashboard', `${name}=x; ${name}=y`)).toBe('password-min-length;desc="12"');
      expect(await timing('/trpc/auth.me', `${name}=x`)).toBeNull();
    },
  );

  it('says that mail is sent, where it is', async () => {
    await using world = await testWorld();
    const page = await fetch(`${world.url}/login`);
    expect(page.headers.get('server-timing')).toBe('password-min-length;desc="8", mail');
  });
});
