import { describe, expect, it } from 'vitest';
import { dump, mailedLinks, mailedToken, mails, tokenOf } from '../testing/mailed-links.ts';
import { testWorld, type World } from '../testing/world.ts';
import { LIMITS } from './limits/throttle.ts';

const HOUR = 60 * 60_000;
const bob = { username: 'bob', email: 'bob@example.com', password: 'a good password' };
const ada = { username: 'ada', email: 'ada@example.com', password: 'quite another password' };

const hidden = () => testWorld({ registrationRevealsEmail: false });
const register = (world: World, input: typeof ada) => world.client().mutate('auth.register', input);
const confirm = (world: World, token: string) => world.client().mutate('emailVerification.confirm', { token });
const login = (world: World, { email, password }: typeof ada) =>
  world.client().mutate('auth.login', { email, password });
const tokenFor = (world: World, email: string) => mailedToken(world, 'registration', email);
const LINK_INVALID = { code: 'link_invalid' };

describe('registering where the settings hide which emails have accounts', () => {
  it('answers the same for a taken email as for a free one, and mails its owner', async () => {
    await using world = await hidden();
    await world.services.accounts.create(bob);
    const free = await register(world, ada);
    // Or the two mails could arrive in any order.
    await world.outbox.settled();
    const taken = await register(world, { ...ada, username: 'other', email: bob.email });
    expect([free.status, free.body, free.headers.getSetCookie()]).toEqual([200, { result: { data: null } }, []]);
    expect([taken.status, taken.body, taken.headers.getSetCookie()]).toEqual([200, { result: { data: null } }, []]);
    expect(await mails(world)).toEqual([
      { template: 'verify-email', to: ada.email },
      { template: 'already-registered', to: bob.email },
    ]);
    expect(await world.sql("select username from users where username <> 'bob'")).toEqual([]);
    const requested = await world.sql("select type from audit_events where type = 'registration_requested'");
    expect(requested).toHaveLength(2);
  });

  it('leaves nothing that tells, even to somebody who registers the username again', async () => {
    await using world = await hidden();
    await world.services.accounts.create(bob);
    for (const email of [ada.email, bob.email]) {
      expect((await register(world, { ...ada, email })).data).toBeNull();
      expect((await register(world, { ...ada, email: `other.${email}` })).data).toBeNull();
      expect((await login(world, { ...ada, email })).failure).toEqual({ code: 'invalid_credentials' });
    }
  });

  it('creates the account once the link is used, with its email verified', async () => {
    await using world = await hidden();
    await register(world, ada);
    expect((await login(world, ada)).failure).toEqual({ code: 'invalid_credentials' });
    const token = await tokenFor(world, ada.email);
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => confirm(world, token)));
    expect(outcomes.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(outcomes.flatMap(({ failure }) => failure ?? [])).toEqual(Array.from({ length: 4 }, () => LINK_INVALID));
    expect((await login(world, ada)).data).toMatchObject({ user: { username: 'ada', emailVerified: true } });
    expect((await confirm(world, token)).failure).toEqual(LINK_INVALID);
    expect(await world.sql('select id from links')).toEqual([]);
    expect(await world.sql("select id from audit_events where type = 'registered'")).toHaveLength(1);
  });

  it('creates nothing after three days', async () => {
    await using world = await hidden();
    await register(world, ada);
    const token = await tokenFor(world, ada.email);
    world.clock.advance(72 * HOUR);
    expect((await confirm(world, token)).failure).toEqual(LINK_INVALID);
    world.clock.advance(1);
    await world.services.purge();
    expect(await dump(world)).not.toContain('$2b$');
  });

  it('says so where the username, which is no secret, is taken, now or by then', async () => {
    await using world = await hidden();
    await world.services.accounts.create(bob);
    expect((await register(world, { ...ada, username: 'BOB' })).failure).toEqual({ code: 'username_taken' });
    expect((await register(world, { ...bob, email: ada.email })).failure).toEqual({ code: 'username_taken' });
    await register(world, ada);
    const token = await tokenFor(world, ada.email);
    await world.services.accounts.create({ ...ada, email: 'other@example.com' });
    const { status, failure } = await confirm(world, token);
    expect([status, failure]).toEqual([409, { code: 'username_taken' }]);
    expect(await world.sql(`select id from users where email = '${ada.email}'`)).toEqual([]);
  });

  it('creates one account for an email, by the link that is used first', async () => {
    await using world = await hidden();
    await register(world, ada);
    // Or the two mails could arrive in any order.
    await world.outbox.settled();
    await register(world, { ...ada, username: 'second', password: 'another password' });
    const [first = '', second = ''] = (await mailedLinks(world, 'registration', ada.email)).map(tokenOf);
    expect((await confirm(world, second)).data).toBeNull();
    expect((await confirm(world, first)).failure).toEqual(LINK_INVALID);
    expect((await login(world, ada)).failure).toEqual({ code: 'invalid_credentials' });
  });

  it('mails an email only a few times, and says nothing of it', async () => {
    await using world = await hidden();
    await world.services.accounts.create(bob);
    const { points } = LIMITS.registrationMail;
    for (let count = 0; count <= points; count++)
      for (const email of [ada.email, bob.email]) expect((await register(world, { ...ada, email })).data).toBeNull();
    expect(await mails(world)).toHaveLength(2 * points);
  });

  it('takes the same bad input for bad', async () => {
    await using world = await hidden();
    const refused = await register(world, { ...ada, password: 'password123' });
    expect(refused.failure).toMatchObject({ code: 'invalid_input', fields: { password: [expect.any(String)] } });
    expect(await mails(world)).toEqual([]);
  });
});

describe('registering', () => {
  it('mails an email only a few times, even where each account is deleted again', async () => {
    await using world = await testWorld();
    const { points } = LIMITS.registrationMail;
    for (let count = 0; count < points; count++) {
      const client = world.client();
      await client.register('ada');
      expect((await client.mutate('account.delete', { username: 'ada' })).status).toBe(200);
    }
    const refused = await register(world, ada);
    expect([refused.status, refused.failure?.code, refused.setCookie]).toEqual([429, 'rate_limited', undefined]);
    expect(await world.sql('select id from users')).toEqual([]);
    await world.outbox.settled();
    const sent = world.outbox.mails().length;
    await register(world, ada);
    await world.outbox.settled();
    expect(world.outbox.mails()).toHaveLength(sent);
    expect((await register(world, bob)).status).toBe(200);
  });

  it('does not count what creates no account', async () => {
    await using world = await testWorld();
    for (let count = 0; count <= LIMITS.registrationMail.points; count++)
      expect((await register(world, { ...ada, password: 'password123' })).failure?.code).toBe('invalid_input');
    expect((await register(world, ada)).status).toBe(200);
  });
});
