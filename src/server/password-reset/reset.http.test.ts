import { describe, expect, it } from 'vitest';
import { accountKey, LIMITS } from '../auth/limits/throttle.ts';
import { dump, mailedToken, mails } from '../testing/mailed-links.ts';
import { testWorld, type TestClient, type World } from '../testing/world.ts';
import { RESET_LIMITS } from './reset.ts';

const HOUR = 60 * 60_000;
const EMAIL = 'ada@example.com';
const NEW_PASSWORD = 'quite another password';

const request = (client: TestClient, email = EMAIL) => client.mutate('passwordReset.request', { email });
const complete = (client: TestClient, token: string, password = NEW_PASSWORD) =>
  client.mutate('passwordReset.complete', { token, password });
const tokenFor = (world: World, email = EMAIL) => mailedToken(world, 'password-reset', email);
const login = (client: TestClient, password: string, email = EMAIL) => client.mutate('auth.login', { email, password });

async function requested() {
  const world = await testWorld();
  const ada = world.client();
  const { user, password } = await ada.register('ada');
  await request(world.client());
  return { world, ada, user, password, token: await tokenFor(world) };
}

const resetMails = async (world: World) => (await mails(world)).filter(({ template }) => template === 'reset-password');

const auditOf = async (world: World) =>
  (await world.sql('select type, user_id, detail from audit_events order by id')).filter(({ type }) =>
    String(type).startsWith('password_reset'),
  );

describe('resetting a password', () => {
  it('sets it, ends every session, tells the owner, and signs nobody in', async () => {
    const { world, ada, user, password, token } = await requested();
    await using _ = world;
    const phone = world.client();
    await login(phone, password);
    const guest = world.client();
    const answer = await complete(guest, token);
    expect([answer.status, answer.data, answer.headers.getSetCookie()]).toEqual([200, null, []]);
    const revoked = { code: 'session_ended', reason: 'revoked' };
    for (const client of [ada, phone]) {
      expect((await client.query('auth.me')).failure).toEqual(revoked);
      expect((await client.mutate('auth.refresh')).failure).toEqual(revoked);
    }
    expect((await login(guest, password)).failure).toEqual({ code: 'invalid_credentials' });
    expect((await login(guest, NEW_PASSWORD)).data).toMatchObject({ user: { emailVerified: true } });
    const told = (await mails(world)).filter(({ template }) => template === 'password-changed');
    expect(told).toEqual([{ template: 'password-changed', to: EMAIL }]);
    expect(await auditOf(world)).toEqual([
      { type: 'password_reset_requested', user_id: user.id, detail: accountKey(EMAIL) },
      { type: 'password_reset', user_id: user.id, detail: null },
    ]);
  });

  it('leaves nothing that whoever had the account before could still use', async () => {
    const { world, ada, token } = await requested();
    await using _ = world;
    await ada.mutate('emailChange.request', { email: 'eve@example.com' });
    const change = await mailedToken(world, 'email-change', 'eve@example.com');
    const verification = await mailedToken(world, 'email-verification', EMAIL);
    expect((await complete(world.client(), token)).data).toBeNull();
    const eve = world.client();
    expect((await eve.mutate('emailChange.confirm', { token: change })).failure).toEqual({ code: 'link_invalid' });
    expect((await eve.mutate('emailVerification.confirm', { token: verification })).failure).toEqual({
      code: 'link_invalid',
    });
    expect(await world.sql('select id from links')).toEqual([]);
  });

  it('is void once the password has been changed', async () => {
    const { world, ada, token } = await requested();
    await using _ = world;
    await ada.mutate('account.changePassword', { password: 'changed in between' });
    expect((await complete(world.client(), token)).failure).toEqual({ code: 'link_invalid' });
    expect((await login(world.client(), 'changed in between')).status).toBe(200);
  });

  it.each([
    ['too short', 'seven77', 'Use at least 8 characters.'],
    ['common', 'password123', 'Many people use this password. Choose another one.'],
    ['their email', EMAIL.toUpperCase(), 'Choose a password that is not your email or username.'],
    ['their username', 'adalovelace', 'Choose a password that is not your email or username.'],
  ])('refuses a password that is %s, and leaves the link as it is', async (_name, password, problem) => {
    await using world = await testWorld();
    const input = { username: 'AdaLovelace', email: EMAIL, password: 'a good password' };
    await world.client().mutate('auth.register', input);
    await request(world.client());
    const token = await tokenFor(world);
    const refused = await complete(world.client(), token, password);
    expect(refused.failure).toEqual({ code: 'invalid_input', fields: { password: [problem] } });
    expect((await login(world.client(), 'a good password')).status).toBe(200);
    expect((await complete(world.client(), token)).data).toBeNull();
  });

  it('asks for the length that the server is set to', async () => {
    await using world = await testWorld({ passwordMinLength: 30 });
    await world
      .client()
      .mutate('auth.register', { username: 'ada', email: EMAIL, password: 'a'.repeat(15) + 'b'.repeat(15) });
    await request(world.client());
    const refused = await complete(world.client(), await tokenFor(world));
    expect(refused.failure).toMatchObject({
      code: 'invalid_input',
      fields: { password: ['Use at least 30 characters.'] },
    });
  });

  it('limits how many passwords are tried with one link', async () => {
    const { world, token } = await requested();
    await using _ = world;
    const { points } = RESET_LIMITS.resetByLink;
    for (let tried = 0; tried < points; tried++)
      expect((await complete(world.client(), token, 'password123')).failure).toMatchObject({ code: 'invalid_input' });
    expect((await complete(world.client(), token)).failure).toMatchObject({ code: 'rate_limited' });
  });

  it('lets the owner in whom guesses of others have kept out, and does not let the guesses go on', async () => {
    await using world = await testWorld({ trustProxy: 1 });
    await world.client().register('ada');
    const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });
    const eve = world.client();
    const guess = (password: string, address: string) =>
      eve.mutate('auth.login', { email: EMAIL, password }, from(address));
    for (let count = 0; count < 11; count++) await guess('a wrong password', '192.0.2.66');
    expect((await guess('a wrong password', '192.0.2.66')).failure).toMatchObject({ code: 'rate_limited' });
    const ada = world.client();
    const owner = from('192.0.2.1');
    await ada.mutate('passwordReset.request', { email: EMAIL }, owner);
    expect((await ada.mutate('auth.login', { email: EMAIL, password: 'forgotten' }, owner)).failure).toMatchObject({
      code: 'rate_limited',
    });
    const input = { token: await tokenFor(world), password: NEW_PASSWORD };
    expect((await ada.mutate('passwordReset.complete', input, owner)).data).toBeNull();
    // What limits the guesser by address stays; what waits for the account has been for the old password.
    const [byAddress] = await world.sql(`select points from rate_limits where "key" = 'login_address:192.0.2.66'`);
    expect(Number(byAddress?.points)).toBe(11);
    expect((await ada.mutate('auth.login', { email: EMAIL, password: NEW_PASSWORD }, owner)).status).toBe(200);
  });

  it('lets the owner in whose own guesses, in a browser that knows the account, led to a wait', async () => {
    await using world = await testWorld();
    const ada = world.client();
    const user = { username: 'ada', email: EMAIL, password: 'forgotten since' };
    const registered = await ada.mutate('auth.register', user);
    const device = registered.headers.getSetCookie().find((cookie) => cookie.startsWith('__Host-device='));
    const known = { headers: { cookie: device?.split(';', 1)[0] ?? '' } };
    const logIn = (password: string) => ada.mutate('auth.login', { email: EMAIL, password }, known);
    for (let tried = 0; tried <= LIMITS.loginByAccount.points; tried++)
      expect((await logIn(`perhaps ${tried}`)).failure).toEqual({ code: 'invalid_credentials' });
    expect((await logIn('one more try')).failure).toMatchObject({ code: 'rate_limited' });
    await request(ada);
    const input = { token: await tokenFor(world), password: NEW_PASSWORD };
    expect((await ada.mutate('passwordReset.complete', input, known)).data).toBeNull();
    expect((await logIn(NEW_PASSWORD)).status).toBe(200);
  });

  it('leaves a disabled account disabled', async () => {
    const { world, user } = await requested();
    await using _ = world;
    const now = world.clock.now;
    await world.services.changeAccount({
      userId: user.id,
      now,
      set: { disabledAt: now },
      revokeLinks: ['password-reset'],
    });
    const before = await resetMails(world);
    expect((await request(world.client())).data).toBeNull();
    expect(await resetMails(world)).toEqual(before);
    expect(await world.sql(`select id from links where purpose = 'password-reset' and expires_at > ${now}`)).toEqual(
      [],
    );
  });
});

describe('asking for a reset', () => {
  it('answers the same whether there is an account, and mails only its owner', async () => {
    await using world = await testWorld();
    const { user } = await world.client().register('ada');
    await world.client().register('bob');
    const [bob] = await world.sql(`select id from users where username = 'bob'`);
    await world.services.changeAccount({ userId: String(bob?.id), now: 0, set: { disabledAt: 1 } });
    const answers = [];
    for (const email of [EMAIL, 'nobody@example.com', 'bob@example.com']) {
      const { status, body, headers } = await request(world.client(), email);
      const names = Array.from(headers.keys()).toSorted();
      answers.push({ status, body, names, length: headers.get('content-length') });
    }
    expect(answers[0]).toMatchObject({ status: 200, body: { result: { data: null } } });
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(await resetMails(world)).toEqual([{ template: 'reset-password', to: EMAIL }]);
    const links = await world.sql(`select user_id, expires_at - created_at as lifetime from links
      where purpose = 'password-reset' order by user_id nulls last`);
    expect(links.map(({ user_id, lifetime }) => [user_id, Number(lifetime)])).toEqual([
      [user.id, HOUR],
      [null, 0],
      [null, 0],
    ]);
    expect(await world.sql('select id from outbox')).toEqual([]);
    expect(await dump(world)).not.toContain('nobody@example.com');
  });

  it('writes as many rows for an unknown email as for a known one', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    const count = async () => {
      const counts = [];
      for (const table of ['links', 'rate_limits', 'audit_events'])
        counts.push(Number((await world.sql(`select count(*) as count from ${table}`))[0]?.count));
      return counts;
    };
    const increase = async (email: string) => {
      const before = await count();
      await request(world.client(), email);
      return (await count()).map((rows, index) => rows - (before[index] ?? 0));
    };
    // The first request of a network also starts to count it.
    expect(await increase('nobody@example.com')).toEqual([1, 2, 1]);
    expect(await increase(EMAIL)).toEqual([1, 1, 1]);
    expect(await increase('nobody.else@example.com')).toEqual([1, 1, 1]);
  });

  it('leaves no decoys behind', async () => {
    await using world = await testWorld();
    await request(world.client(), 'nobody@example.com');
    world.clock.advance(1);
    await world.services.purge();
    expect(await world.sql('select id from links')).toEqual([]);
  });

  it('sends a few mails to an owner who is asked about a thousand times, and says nothing of it', async () => {
    await using world = await testWorld({ trustProxy: 1 });
    await world.client().register('ada');
    const client = world.client();
    const outcomes = new Set<string>();
    for (const email of [EMAIL, 'nobody@example.com']) {
      const times = Array.from({ length: 1000 }, (_, time) => time);
      while (times.length > 0) {
        const batch = times.splice(0, 20).map(async (time) => {
          const headers = { 'x-forwarded-for': `198.51.${Math.floor(time / 250)}.${time % 250}` };
          const { status, data } = await client.mutate('passwordReset.request', { email }, { headers });
          outcomes.add(JSON.stringify({ status, data }));
        });
        await Promise.all(batch);
      }
    }
    expect(Array.from(outcomes)).toEqual([JSON.stringify({ status: 200, data: null })]);
    // Fewer arrive where a link is replaced before its mail is sent.
    const { length } = await resetMails(world);
    expect(length).toBeGreaterThan(0);
    expect(length).toBeLessThanOrEqual(RESET_LIMITS.resetByAccount.points);
    // The last link works as long as no other can be had.
    world.clock.advance(HOUR - 1);
    expect((await complete(world.client(), await tokenFor(world))).data).toBeNull();
  });

  it('limits each network, for known and unknown emails alike', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    const { points } = RESET_LIMITS.resetByAddress;
    for (let count = 0; count < points; count++) {
      const email = count % 2 === 0 ? EMAIL : `nobody${count}@example.com`;
      expect((await request(world.client(), email)).data).toBeNull();
    }
    for (const email of [EMAIL, 'nobody@example.com']) {
      const { status, failure, headers } = await request(world.client(), email);
      expect([status, failure]).toEqual([429, { code: 'rate_limited', retryAfter: expect.any(Number) }]);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
  });

  it.each([
    ['nothing', undefined],
    ['no email', 'ada'],
    ['a list', [EMAIL, 'eve@example.com']],
    ['an object', { email: EMAIL }],
    ['two addresses', `${EMAIL},eve@example.com`],
    ['a line break', `${EMAIL}\r\nBcc: eve@example.com`],
    ['letters that another system takes for ASCII', 'ada@ex\u0430mple.com'],
    ['too much', `${'a'.repeat(300)}@example.com`],
  ])('takes %s for bad input', async (_name, email) => {
    await using world = await testWorld();
    await world.client().register('ada');
    const before = await dump(world);
    const answer = await world.client().mutate('passwordReset.request', { email });
    expect([answer.status, answer.failure]).toEqual([
      400,
      { code: 'invalid_input', fields: { email: [expect.any(String)] } },
    ]);
    expect(await dump(world)).toBe(before);
  });

  it('finds the account in any case, and mails the address as it is stored', async () => {
    await using world = await testWorld();
    await world.client().register('ada');
    expect((await request(world.client(), ' ADA@Example.COM ')).data).toBeNull();
    expect(await resetMails(world)).toEqual([{ template: 'reset-password', to: EMAIL }]);
  });
});
