import { describe, expect, it } from 'vitest';
import { testWorld, type TestClient, type World } from '../testing/world.ts';
import { LIMITS } from './limits/throttle.ts';

const email = 'ada@example.com';
const password = 'a good password for ada';
const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0';

async function notices({ outbox }: World) {
  await outbox.settled();
  return outbox.mails().filter(({ template }) => template === 'new-device');
}

/** Logs in like a browser that keeps its device cookie. @returns that cookie */
async function logIn(client: TestClient, device?: string): Promise<string | undefined> {
  const answer = await client.mutate(
    'auth.login',
    { email, password },
    { headers: device === undefined ? { 'user-agent': FIREFOX } : { 'user-agent': FIREFOX, cookie: device } },
  );
  expect(answer.status).toBe(200);
  return deviceOf(answer.headers) ?? device;
}

const deviceOf = (headers: Headers) =>
  headers
    .getSetCookie()
    .find((cookie) => cookie.startsWith('__Host-device='))
    ?.split(';', 1)[0];

describe('a notice of a new device', () => {
  it('is sent for the first login in another browser, and no further one there', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    expect(await notices(world)).toEqual([]);
    const device = await logIn(world.client());
    const [notice] = await notices(world);
    expect(notice).toMatchObject({
      to: email,
      text: expect.stringMatching(/Firefox on Windows[^]*127\.0\.0\.1/),
    });
    world.clock.advance(60_000);
    await logIn(world.client(), device);
    expect(await notices(world)).toHaveLength(1);
  });

  it('is not sent to where the account was registered', async () => {
    await using world = await testWorld();
    const client = world.client();
    const registered = await client.mutate('auth.register', { username: 'ada', email, password });
    await logIn(world.client(), deviceOf(registered.headers));
    expect(await notices(world)).toEqual([]);
  });

  it('is sent where the cookie of the browser is that of another account, forged, or doubled', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    const grace = { username: 'grace', email: 'grace@example.com', password: 'a good password for grace' };
    const registered = await world.client().mutate('auth.register', grace);
    const cookies = [deviceOf(registered.headers), '__Host-device=a.b.c', '__Host-device=a; __Host-device=b'];
    for (const [index, cookie] of cookies.entries()) {
      await logIn(world.client(), cookie);
      expect(await notices(world)).toHaveLength(index + 1);
    }
  });

  it('is not sent for a login that fails, nor where mail is off', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    await world.client().mutate('auth.login', { email, password: 'wrong' });
    expect(await notices(world)).toEqual([]);
    await using silent = await testWorld({ mail: undefined });
    await silent.client().register('ada');
    await logIn(silent.client());
    expect(await notices(silent)).toEqual([]);
    expect(await silent.sql("select key from rate_limits where key like 'new_device_mail%'")).toEqual([]);
    // No link either: nobody would receive it.
    expect(await silent.sql('select id from links')).toEqual([]);
  });

  it('is limited by account, while logging in is not', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    const { points } = LIMITS.newDeviceMail;
    for (let logins = 0; logins < points + 5; logins += 1) await logIn(world.client());
    expect(await notices(world)).toHaveLength(points);
    expect(await world.sql("select type from audit_events where type = 'signed_in'")).toHaveLength(points + 5);
  });
});
