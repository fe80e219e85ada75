import { describe, expect, it } from 'vitest';
import { openStream } from '../testing/two-servers.ts';
import { testWorld, type TestClient, type World } from '../testing/world.ts';
import { ACCOUNT_LIMITS } from './change.ts';

const NEVER_LOOK_MS = 24 * 60 * 60_000;
const email = 'ada@example.com';
const oldPassword = 'a good password for ada';
const newPassword = 'weaves algebraic patterns';

async function logIn(world: World, password = oldPassword): Promise<TestClient> {
  const client = world.client();
  expect((await client.mutate('auth.login', { email, password })).status).toBe(200);
  return client;
}

/** A page that a link opens, of those that the person has. */
async function addLink(
  world: World,
  purpose: 'password-reset' | 'email-change' | 'email-verification',
  userId: string,
) {
  const { links, changeAccount, clock } = world.services;
  const newLink = links.create(purpose, userId, { email });
  await changeAccount({ userId, now: clock(), newLink });
}

/** To whom it has been told that a password was changed. */
async function notices({ outbox }: World): Promise<string[]> {
  await outbox.settled();
  return outbox.mails().flatMap(({ template, to }) => (template === 'password-changed' ? [to] : []));
}

/** Holds changes of passwords until `count` of them have hashed theirs. */
function together({ services }: World, count: number): void {
  const { preparePassword } = services.accounts;
  const all = Promise.withResolvers<void>();
  let prepared = 0;
  services.accounts.preparePassword = async (...input) => {
    const result = await preparePassword(...input);
    prepared += 1;
    if (prepared === count) all.resolve();
    await all.promise;
    return result;
  };
}

describe('account.changePassword', () => {
  it('sets the password, keeps this session, ends the others at once, and tells the person', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const client = world.client();
    const { user } = await client.register('ada');
    const other = await logIn(world);
    using stream = await openStream(world, other.accessToken);
    const answer = await client.mutate('account.changePassword', { password: newPassword });
    expect(answer.body).toEqual({ result: { data: null } });
    await stream.until('"failure":{"code":"session_ended","reason":"revoked"}');
    expect((await other.mutate('auth.refresh')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    expect((await client.query('auth.me')).data).toEqual(user);
    world.clock.advance(120_000);
    expect((await client.mutate('auth.refresh')).status).toBe(200);
    const refused = await world.client().mutate('auth.login', { email, password: oldPassword });
    expect(refused.failure).toEqual({ code: 'invalid_credentials' });
    await logIn(world, newPassword);
    expect(await notices(world)).toEqual([email]);
    expect(await world.sql("select user_id from audit_events where type = 'password_changed'")).toEqual([
      { user_id: user.id },
    ]);
  });

  it('revokes the links that could set another password or email, and no others', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');
    await addLink(world, 'password-reset', user.id);
    await addLink(world, 'email-change', user.id);
    await client.mutate('account.changePassword', { password: newPassword });
    expect(await world.sql('select purpose from links')).toEqual([{ purpose: 'email-verification' }]);
  });

  it.each<[string, unknown]>([
    ['a missing one', undefined],
    ['one of another type', 12_345_678],
    ['a short one', '1234567'],
    ['a long one', 'a'.repeat(129)],
    ['one that cannot be stored', '\ud800'.repeat(15)],
    ['a common one', 'Password1'],
    ['the email', 'ADA@example.com'],
    ['the username', 'ada.lovelace'],
  ])('refuses %s, as registering does, and changes nothing', async (_, password) => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    await client.mutate('account.changeUsername', { username: 'Ada.Lovelace' });
    const before = await world.sql('select password_hash, password_changed_at from users');
    expect((await client.mutate('account.changePassword', { password })).failure).toEqual({
      code: 'invalid_input',
      fields: { password: [expect.any(String)] },
    });
    expect(await world.sql('select password_hash, password_changed_at from users')).toEqual(before);
    expect(await notices(world)).toEqual([]);
  });

  it('applies the configured minimum length', async () => {
    await using world = await testWorld({ passwordMinLength: 15 });
    const client = world.client();
    await client.register('ada');
    expect((await client.mutate('account.changePassword', { password: 'fourteen chars' })).failure).toEqual({
      code: 'invalid_input',
      fields: { password: ['Use at least 15 characters.'] },
    });
    expect((await client.mutate('account.changePassword', { password: 'fifteen chars..' })).status).toBe(200);
  });

  it('takes one of two concurrent changes from one session, and asks the other again', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    together(world, 2);
    const passwords = [newPassword, 'does not dream of electric sheep'];
    const answers = await Promise.all(
      passwords.map((password) => client.mutate('account.changePassword', { password })),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 403]);
    const lost = answers.find(({ status }) => status === 403);
    expect(lost?.failure).toEqual({ code: 'reauthentication_required' });
    await logIn(world, passwords[answers.findIndex(({ status }) => status === 200)]);
  });

  it('leaves one live session of two that change it at the same time', async () => {
    await using world = await testWorld();
    const one = world.client();
    await one.register('ada');
    const two = await logIn(world);
    together(world, 2);
    const answers = await Promise.all([
      one.mutate('account.changePassword', { password: newPassword }),
      two.mutate('account.changePassword', { password: 'does not dream of electric sheep' }),
    ]);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401]);
    expect(answers.find(({ status }) => status === 401)?.failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    expect(await world.sql('select id from sessions where ended_at is null')).toHaveLength(1);
  });

  it('changes nothing once its session has ended, even if the call was under way', async () => {
    await using world = await testWorld();
    const owner = world.client();
    const { user } = await owner.register('ada');
    const thief = await logIn(world);
    const { accounts } = world.services;
    const preparePassword = accounts.preparePassword;
    // The owner ends the session while the thief's password is being hashed.
    accounts.preparePassword = async (...input) => {
      const prepared = await preparePassword(...input);
      expect((await owner.mutate('account.endOtherSessions')).data).toEqual({ ended: 1 });
      return prepared;
    };
    const answer = await thief.mutate('account.changePassword', { password: newPassword });
    expect([answer.status, answer.failure]).toEqual([401, { code: 'session_ended', reason: 'revoked' }]);
    await logIn(world);
    expect(await world.sql(`select username from users where id = '${user.id}'`)).toHaveLength(1);
    expect(await notices(world)).toEqual([]);
  });

  it('allows the same password again, which still ends the other sessions', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    const other = await logIn(world);
    expect((await client.mutate('account.changePassword', { password: oldPassword })).status).toBe(200);
    expect((await other.query('auth.me')).status).toBe(401);
    await logIn(world);
  });

  it('is limited by account', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    for (let changes = 0; changes < ACCOUNT_LIMITS.changePassword.points; changes += 1)
      await client.mutate('account.changePassword', { password: 'Password1' });
    const refused = await client.mutate('account.changePassword', { password: newPassword });
    expect(refused.failure).toEqual({ code: 'rate_limited', retryAfter: expect.any(Number) });
    await logIn(world);
  });
});
