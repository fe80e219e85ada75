import { describe, expect, it } from 'vitest';
import type { OwnSession } from '../../shared/account.ts';
import { openStream } from '../testing/two-servers.ts';
import { testWorld, type TestClient, type World } from '../testing/world.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** Streams that look so rarely learn of changes only through notifications. */
const NEVER_LOOK_MS = DAY;

const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0';
const SAFARI =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';

async function logIn(world: World, userAgent = FIREFOX, name = 'ada', remember = true): Promise<TestClient> {
  const client = world.client();
  const input = { email: `${name}@example.com`, password: `a good password for ${name}`, remember };
  const answer = await client.mutate('auth.login', input, { headers: { 'user-agent': userAgent } });
  expect(answer.status).toBe(200);
  return client;
}

const list = async (client: TestClient) => (await client.query('account.sessions')).data as OwnSession[];
const idOf = async (client: TestClient) => (await list(client)).find(({ current }) => current)?.id;
const ended = { code: 'session_ended', reason: 'revoked' };

describe('account.sessions', () => {
  it('lists the live sessions, the one used last first, each with its device in words and its network', async () => {
    await using world = await testWorld();
    await world.client().register('grace');
    await world.client().register('ada');
    world.clock.advance(MINUTE);
    const phone = await logIn(world, SAFARI);
    world.clock.advance(MINUTE);
    const laptop = await logIn(world);
    await laptop.query('auth.me');
    world.clock.advance(MINUTE);
    await phone.mutate('auth.refresh');
    const sessions = await list(laptop);
    expect(sessions).toEqual([
      {
        id: expect.any(String),
        current: false,
        device: 'Safari on iOS',
        ip: '127.0.0.1',
        createdAt: '2030-01-01T00:01:00.000Z',
        lastSeenAt: '2030-01-01T00:03:00.000Z',
      },
      {
        id: expect.any(String),
        current: true,
        device: 'Firefox on Windows',
        ip: '127.0.0.1',
        createdAt: '2030-01-01T00:02:00.000Z',
        lastSeenAt: '2030-01-01T00:02:00.000Z',
      },
      expect.objectContaining({ current: false, createdAt: '2030-01-01T00:00:00.000Z' }),
    ]);
    expect((await list(phone)).map(({ current }) => current)).toEqual([true, false, false]);
  });

  it('leaves out sessions that have ended, idled for too long, or reached their absolute limit', async () => {
    await using world = await testWorld();
    const first = world.client();
    await first.register('ada');
    const forgetful = await logIn(world, FIREFOX, 'ada', false);
    await (await logIn(world)).mutate('auth.logout');
    expect(await list(first)).toHaveLength(2);
    world.clock.advance(DAY + 2 * MINUTE);
    expect((await forgetful.mutate('auth.refresh')).status).toBe(401);
    await first.mutate('auth.refresh');
    expect(await list(first)).toHaveLength(1);
    for (let day = 2; day < 30; day += 1) {
      world.clock.advance(DAY);
      await first.mutate('auth.refresh');
    }
    const second = await logIn(world);
    expect(await list(second)).toHaveLength(2);
    world.clock.advance(DAY);
    await second.mutate('auth.refresh');
    expect(await list(second)).toHaveLength(1);
  });

  it('knows a device without a user agent as unknown', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    await world.sql('update sessions set user_agent = null, ip = null');
    expect((await list(await logIn(world, 'curl/8.5.0'))).map(({ device, ip }) => [device, ip])).toContainEqual([
      'Unknown device',
      null,
    ]);
  });
});

describe('account.endSession', () => {
  it('ends a session of the person, which its pages learn at once', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const phone = world.client();
    await phone.register('ada');
    const laptop = await logIn(world);
    const third = await logIn(world);
    using stream = await openStream(world, phone.accessToken);
    using another = await openStream(world, phone.accessToken);
    const answer = await laptop.mutate('account.endSession', { id: await idOf(phone) });
    expect(answer.body).toEqual({ result: { data: null } });
    await stream.until('"failure":{"code":"session_ended","reason":"revoked"}');
    await another.until('"failure":{"code":"session_ended","reason":"revoked"}');
    expect((await phone.mutate('auth.refresh')).failure).toEqual(ended);
    expect((await third.query('auth.me')).status).toBe(200);
    expect(await list(laptop)).toHaveLength(2);
    expect(await world.sql("select type from audit_events where type = 'ended'")).toHaveLength(1);
  });

  it('succeeds again for a session that has ended, as when the answer was lost', async () => {
    await using world = await testWorld();
    const phone = world.client();
    await phone.register('ada');
    const laptop = await logIn(world);
    const id = await idOf(phone);
    for (let calls = 0; calls < 2; calls += 1)
      expect((await laptop.mutate('account.endSession', { id })).status).toBe(200);
    expect(await world.sql("select type from audit_events where type = 'ended'")).toHaveLength(1);
  });

  it('does not find the session of somebody else, nor one that does not exist', async () => {
    await using world = await testWorld();
    const grace = world.client();
    await grace.register('grace');
    const client = world.client();
    await client.register('ada');
    for (const id of [await idOf(grace), 'nothing', '']) {
      const answer = await client.mutate('account.endSession', { id });
      expect([answer.status, answer.failure]).toEqual([404, undefined]);
      expect(answer.body).toMatchObject({ error: { data: { code: 'NOT_FOUND' } } });
    }
    expect((await grace.query('auth.me')).status).toBe(200);
    expect((await client.query('auth.me')).status).toBe(200);
  });

  it('ends the session that asks as well', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    expect((await client.mutate('account.endSession', { id: await idOf(client) })).status).toBe(200);
    expect((await client.query('auth.me')).failure).toEqual(ended);
  });

  it.each([{}, { id: 7 }, { id: 'x'.repeat(65) }, { id: 'x\0' }, { id: 'x', userId: 'y' }])(
    'refuses %j',
    async (input) => {
      await using world = await testWorld();
      const client = world.client();
      await client.register('ada');
      expect((await client.mutate('account.endSession', input)).failure?.code).toBe('invalid_input');
    },
  );
});

describe('account.endOtherSessions', () => {
  it('ends all sessions of the person but this one, and counts those that could be used', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const idle = world.client();
    await idle.register('ada');
    const grace = world.client();
    await grace.register('grace');
    world.clock.advance(8 * DAY);
    const phone = await logIn(world, SAFARI);
    const tablet = await logIn(world, SAFARI);
    const laptop = await logIn(world);
    using stream = await openStream(world, phone.accessToken);
    expect((await laptop.mutate('account.endOtherSessions')).data).toEqual({ ended: 2 });
    await stream.until('"failure":{"code":"session_ended","reason":"revoked"}');
    expect((await tablet.query('auth.me')).failure).toEqual(ended);
    expect((await laptop.query('auth.me')).status).toBe(200);
    expect((await laptop.mutate('account.endOtherSessions')).data).toEqual({ ended: 0 });
    expect(await world.sql("select detail from audit_events where type = 'other_sessions_ended'")).toEqual([
      { detail: '2' },
    ]);
    expect(await list(await logIn(world, FIREFOX, 'grace'))).toHaveLength(1);
  });
});
