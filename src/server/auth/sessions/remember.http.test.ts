import { describe, expect, it } from 'vitest';
import { testWorld, type TestClient, type World } from '../../testing/world.ts';

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

/** Logs in without being remembered. */
async function visit(world: World): Promise<{ client: TestClient; setCookie: string | undefined; userId: string }> {
  const { user, password } = await world.client().register('ada');
  const client = world.client();
  const { setCookie } = await client.mutate('auth.login', { email: user.email, password, remember: false });
  return { client, setCookie, userId: user.id };
}

function claimsOf(token: string | undefined): { iat: number; exp: number; role?: string } {
  const [, payload = ''] = token?.split('.') ?? [];
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iat: number; exp: number; role?: string };
}

describe('a session that is not remembered', () => {
  it('has a cookie that ends with the browser, through every rotation', async () => {
    await using world = await testWorld();
    const { client, setCookie } = await visit(world);
    let last = setCookie;
    for (let rotation = 0; rotation < 3; rotation += 1) {
      expect(last).toContain('HttpOnly');
      expect(last).not.toMatch(/Max-Age|Expires/i);
      world.clock.advance(23 * HOUR_MS);
      const answer = await client.mutate('auth.refresh');
      expect(answer.status).toBe(200);
      last = answer.setCookie;
    }
    expect(last).not.toMatch(/Max-Age|Expires/i);
  });

  it('ends after a day of idling, also after rotations', async () => {
    await using world = await testWorld();
    const { client } = await visit(world);
    world.clock.advance(23 * HOUR_MS);
    expect((await client.mutate('auth.refresh')).status).toBe(200);
    world.clock.advance(DAY_MS);
    expect((await client.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'expired' });
  });

  it('idles no longer than any other session may', async () => {
    await using world = await testWorld({ refreshTokenLifetimeMs: HOUR_MS });
    const { client } = await visit(world);
    const { iat, exp } = claimsOf(client.cookie);
    expect(exp - iat).toBe(3600);
  });
});

describe('the role in the access token', () => {
  it('is the one that the account has when the token is issued', async () => {
    await using world = await testWorld();
    const { client, userId } = await visit(world);
    expect(claimsOf(client.accessToken).role).toBe('user');
    const { changeAccount, clock } = world.services;
    await changeAccount({ userId, now: clock(), set: { role: 'admin' } });
    world.clock.advance(2 * 60_000);
    await client.mutate('auth.refresh');
    expect(claimsOf(client.accessToken).role).toBe('admin');
  });
});

describe('a person who is disabled', () => {
  it('is out at the next call and the next refresh', async () => {
    await using world = await testWorld();
    const { client, userId } = await visit(world);
    const { changeAccount, clock } = world.services;
    await changeAccount({ userId, now: clock(), set: { disabledAt: clock() }, endSessions: {} });
    const revoked = { code: 'session_ended', reason: 'revoked' };
    expect((await client.query('auth.me')).failure).toEqual(revoked);
    expect((await client.mutate('auth.refresh')).failure).toEqual(revoked);
  });
});
