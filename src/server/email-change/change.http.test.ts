import { describe, expect, it } from 'vitest';
import type { Grant } from '../../shared/auth.ts';
import { accountKey } from '../auth/limits/throttle.ts';
import { mailedLinks, mailedToken, mails, tokenOf } from '../testing/mailed-links.ts';
import { testWorld, type TestClient, type World } from '../testing/world.ts';
import { EMAIL_CHANGE_LIMITS } from './change.ts';

const MINUTE = 60_000;
const OLD = 'ada@example.com';
const NEW = 'ada@example.org';

const request = (client: TestClient, email = NEW) => client.mutate('emailChange.request', { email });
const confirm = (client: TestClient, token: string) => client.mutate('emailChange.confirm', { token });
const tokenFor = (world: World, email = NEW) => mailedToken(world, 'email-change', email);
const LINK_INVALID = { code: 'link_invalid' };

async function registered(settings: Parameters<typeof testWorld>[0] = {}) {
  const world = await testWorld(settings);
  const ada = world.client();
  const password = 'a good password';
  await world.services.accounts.create({ username: 'ada', email: OLD, password });
  const { data } = await ada.mutate('auth.login', { email: OLD, password });
  return { world, ada, user: (data as Grant).user, password };
}

const changeMails = async (world: World) =>
  (await mails(world)).filter(({ template }) => template !== 'verify-email' && template !== 'new-device');

describe('changing the email', () => {
  it('takes effect when the new one is confirmed, and tells the old one', async () => {
    const { world, ada, user, password } = await registered();
    await using _ = world;
    await world.sql('update users set email_verified_at = 1');
    expect((await request(ada)).data).toBeNull();
    expect(await changeMails(world)).toEqual([{ template: 'confirm-email', to: NEW }]);
    expect((await ada.query('auth.me')).data).toEqual({ ...user, emailVerified: true });
    const answer = await confirm(world.client(), await tokenFor(world));
    expect([answer.status, answer.data, answer.headers.getSetCookie()]).toEqual([200, null, []]);
    expect((await changeMails(world)).slice(1)).toEqual([{ template: 'email-changed', to: OLD }]);
    expect(world.outbox.mails().at(-1)?.text).toContain(NEW);
    // The session goes on.
    expect((await ada.query('auth.me')).data).toEqual({ ...user, email: NEW, emailVerified: true });
    const phone = world.client();
    expect((await phone.mutate('auth.login', { email: OLD, password })).failure).toEqual({
      code: 'invalid_credentials',
    });
    expect((await phone.mutate('auth.login', { email: NEW, password })).status).toBe(200);
    expect((await world.sql('select type, user_id, detail from audit_events order by id')).slice(1, 3)).toEqual([
      { type: 'email_change_requested', user_id: user.id, detail: accountKey(NEW) },
      { type: 'email_changed', user_id: user.id, detail: `${accountKey(OLD)} → ${accountKey(NEW)}` },
    ]);
  });

  it('leaves no link that the old email could use', async () => {
    const { world, ada } = await registered();
    await using _ = world;
    await world.client().mutate('passwordReset.request', { email: OLD });
    const reset = await mailedToken(world, 'password-reset', OLD);
    await request(ada);
    await confirm(world.client(), await tokenFor(world));
    const input = { token: reset, password: 'quite another password' };
    expect((await world.client().mutate('passwordReset.complete', input)).failure).toEqual(LINK_INVALID);
    expect(await world.sql('select id from links')).toEqual([]);
  });

  it('fails if somebody has taken the email meanwhile, and changes nothing', async () => {
    const { world, ada, user } = await registered();
    await using _ = world;
    await request(ada);
    const token = await tokenFor(world);
    await world.client().mutate('auth.register', { username: 'bob', email: NEW, password: 'a good password' });
    const { status, failure } = await confirm(world.client(), token);
    expect([status, failure]).toEqual([409, { code: 'email_taken' }]);
    expect((await ada.query('auth.me')).data).toEqual(user);
    expect((await changeMails(world)).filter(({ template }) => template === 'email-changed')).toEqual([]);
  });

  it('goes to one of two accounts that confirm the same email at once', async () => {
    const { world, ada } = await registered();
    await using _ = world;
    const bob = world.client();
    await bob.register('bob');
    await request(ada);
    await request(bob);
    const tokens = (await mailedLinks(world, 'email-change', NEW)).map(tokenOf);
    expect(tokens).toHaveLength(2);
    const answers = await Promise.all(tokens.map((token) => confirm(world.client(), token)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409]);
    expect(await world.sql(`select count(*) as count from users where email = '${NEW}'`)).toSatisfy(
      ([row]: { count: unknown }[]) => Number(row?.count) === 1,
    );
  });

  it('cannot be asked for without having proved, of late, who one is', async () => {
    const { world, ada, password } = await registered();
    await using _ = world;
    world.clock.advance(11 * MINUTE);
    expect((await request(ada)).failure).toEqual({ code: 'reauthentication_required' });
    expect(await changeMails(world)).toEqual([]);
    expect(await world.sql("select id from links where purpose = 'email-change'")).toEqual([]);
    expect((await ada.mutate('auth.reauthenticate', { password })).data).toBeNull();
    expect((await request(ada)).data).toBeNull();
  });

  it('refuses the email that the account has', async () => {
    const { world, ada } = await registered();
    await using _ = world;
    const { status, failure } = await request(ada, ' ADA@Example.com ');
    expect([status, failure]).toEqual([
      400,
      { code: 'invalid_input', fields: { email: ['This is your email already.'] } },
    ]);
    expect(await changeMails(world)).toEqual([]);
  });

  it('refuses an email that is taken, and mails nobody', async () => {
    const { world, ada } = await registered();
    await using _ = world;
    await world.client().register('bob');
    const { status, failure } = await request(ada, 'BOB@example.com');
    expect([status, failure]).toEqual([409, { code: 'email_taken' }]);
    expect(await changeMails(world)).toEqual([]);
  });

  it('does not say that an email is taken where the settings hide it, and tells its owner', async () => {
    const { world, ada, user } = await registered({ registrationRevealsEmail: false });
    await using _ = world;
    const bob = { username: 'bob', email: 'bob@example.com', password: 'a good password' };
    await world.services.accounts.create(bob);
    const free = await request(ada);
    const before = await tokenFor(world);
    const taken = await request(ada, bob.email);
    expect([taken.status, taken.body]).toEqual([free.status, free.body]);
    expect(await changeMails(world)).toContainEqual({
      template: 'already-registered',
      to: bob.email,
    });
    // Asking again replaces the link, here too: otherwise this would tell.
    expect((await confirm(world.client(), before)).failure).toEqual(LINK_INVALID);
    expect((await ada.query('auth.me')).data).toEqual(user);
  });

  it('is limited by account', async () => {
    const { world, ada } = await registered();
    await using _ = world;
    const { points } = EMAIL_CHANGE_LIMITS.emailChangeByAccount;
    for (let count = 0; count < points; count++) {
      // Delivered before its link is replaced.
      expect(await changeMails(world)).toHaveLength(count);
      expect((await request(ada, `${count}${NEW}`)).data).toBeNull();
    }
    expect((await request(ada)).failure).toEqual({ code: 'rate_limited', retryAfter: expect.any(Number) });
    expect(await changeMails(world)).toHaveLength(points);
  });

  it('is limited for each email, so that many accounts cannot flood it', async () => {
    const { world, ada } = await registered();
    await using _ = world;
    const { points } = EMAIL_CHANGE_LIMITS.emailChangeByEmail;
    for (let count = 0; count < points; count++) {
      const client = world.client();
      await client.register();
      expect((await request(client)).data).toBeNull();
    }
    expect((await request(ada)).failure).toMatchObject({ code: 'rate_limited' });
    expect((await request(ada, `other.${NEW}`)).data).toBeNull();
  });

  it('is limited by network', async () => {
    const { world, ada } = await registered();
    await using _ = world;
    const { emailChangeByAccount, emailChangeByAddress } = EMAIL_CHANGE_LIMITS;
    for (let total = 0; total < emailChangeByAddress.points; total += emailChangeByAccount.points) {
      const client = world.client();
      await client.register();
      for (let count = 0; count < emailChangeByAccount.points; count++)
        expect((await request(client, `${total + count}${NEW}`)).data).toBeNull();
    }
    expect((await request(ada)).failure).toMatchObject({ code: 'rate_limited' });
  });

  it.each([
    ['nothing', undefined],
    ['no email', 'ada'],
    ['a list', [NEW]],
    ['two addresses', `${NEW},eve@example.com`],
    ['a line break', `${NEW}\r\nBcc: eve@example.com`],
    ['too much', `${'a'.repeat(300)}@example.com`],
  ])('takes %s for bad input', async (_name, email) => {
    const { world, ada } = await registered();
    await using _ = world;
    const answer = await ada.mutate('emailChange.request', { email });
    expect([answer.status, answer.failure]).toEqual([
      400,
      { code: 'invalid_input', fields: { email: [expect.any(String)] } },
    ]);
    expect(await changeMails(world)).toEqual([]);
  });
});
