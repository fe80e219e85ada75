import { describe, expect, it } from 'vitest';
import { mailedToken, mails } from '../testing/mailed-links.ts';
import { testWorld, type TestClient, type World } from '../testing/world.ts';
import { VERIFICATION_LIMITS } from './verification.ts';

const EMAIL = 'ada@example.com';

const send = (client: TestClient) => client.mutate('emailVerification.send');

const confirm = (client: TestClient, token: string) => client.mutate('emailVerification.confirm', { token });
const tokenFor = (world: World) => mailedToken(world, 'email-verification', EMAIL);
const mailCount = async (world: World) =>
  (await mails(world)).filter(({ template }) => template === 'verify-email').length;

describe('verifying an email', () => {
  it('works with the link that registering sends, and shows at the next call', async () => {
    await using world = await testWorld();
    const ada = world.client();
    const { user } = await ada.register('ada');
    expect(user.emailVerified).toBe(false);
    expect(await mails(world)).toEqual([{ template: 'verify-email', to: EMAIL }]);
    const answer = await confirm(world.client(), await tokenFor(world));
    expect([answer.status, answer.data, answer.headers.getSetCookie()]).toEqual([200, null, []]);
    expect((await ada.query('auth.me')).data).toEqual({ ...user, emailVerified: true });
    expect((await ada.mutate('auth.refresh')).data).toMatchObject({ user: { emailVerified: true } });
    expect(await world.sql("select type, user_id from audit_events where type = 'email_verified'")).toEqual([
      { type: 'email_verified', user_id: user.id },
    ]);
  });

  it('verifies the account that the link is for, whoever opens it', async () => {
    await using world = await testWorld();
    const ada = world.client();
    await ada.register('ada');
    const bob = world.client();
    await bob.register('bob');
    expect((await confirm(bob, await tokenFor(world))).data).toBeNull();
    expect((await bob.query('auth.me')).data).toMatchObject({ username: 'bob', emailVerified: false });
    expect((await ada.query('auth.me')).data).toMatchObject({ username: 'ada', emailVerified: true });
  });
});

describe('asking for a link', () => {
  it('requires a session', async () => {
    await using world = await testWorld();
    expect((await send(world.client())).failure).toEqual({ code: 'access_token_missing' });
  });

  it('mails another one', async () => {
    await using world = await testWorld();
    const ada = world.client();
    await ada.register('ada');
    // Delivered before its link is replaced.
    expect(await mailCount(world)).toBe(1);
    expect((await send(ada)).data).toBeNull();
    expect(await mailCount(world)).toBe(2);
    expect((await confirm(world.client(), await tokenFor(world))).data).toBeNull();
  });

  it('sends nothing once the email is verified', async () => {
    await using world = await testWorld();
    const ada = world.client();
    await ada.register('ada');
    await confirm(ada, await tokenFor(world));
    for (let count = 0; count <= VERIFICATION_LIMITS.verificationByAccount.points; count++)
      expect((await send(ada)).data).toBeNull();
    expect(await mailCount(world)).toBe(1);
  });

  it('is limited by account, and says when to ask again', async () => {
    await using world = await testWorld();
    const ada = world.client();
    await ada.register('ada');
    const { points, durationSeconds } = VERIFICATION_LIMITS.verificationByAccount;
    for (let count = 0; count < points; count++) {
      expect(await mailCount(world)).toBe(1 + count);
      expect((await send(ada)).data).toBeNull();
    }
    const { status, failure } = await send(ada);
    expect([status, failure]).toEqual([429, { code: 'rate_limited', retryAfter: expect.any(Number) }]);
    expect(failure).toSatisfy(
      ({ retryAfter }: { retryAfter: number }) => retryAfter > 0 && retryAfter <= durationSeconds,
    );
    expect(await mailCount(world)).toBe(1 + points);
    const bob = world.client();
    await bob.register('bob');
    expect((await send(bob)).data).toBeNull();
  });

  it('is limited by network', async () => {
    await using world = await testWorld();
    const { points } = VERIFICATION_LIMITS.verificationByAddress;
    const each = VERIFICATION_LIMITS.verificationByAccount.points;
    for (let count = 0; count < points; count += each) {
      const client = world.client();
      await client.register();
      for (let asked = 0; asked < each; asked++) expect((await send(client)).data).toBeNull();
    }
    const last = world.client();
    await last.register();
    expect((await send(last)).failure).toMatchObject({ code: 'rate_limited' });
  });
});
