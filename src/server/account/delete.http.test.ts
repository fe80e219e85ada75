import { describe, expect, it } from 'vitest';
import { openStream } from '../testing/two-servers.ts';
import { addWaitingMail } from '../testing/waiting-mail.ts';
import { testWorld, type TestClient, type World } from '../testing/world.ts';

const NEVER_LOOK_MS = 24 * 60 * 60_000;
const email = 'ada@example.com';
const password = 'a good password for ada';
const ended = { code: 'session_ended', reason: 'revoked' };

async function logIn(world: World): Promise<TestClient> {
  const client = world.client();
  expect((await client.mutate('auth.login', { email, password })).status).toBe(200);
  return client;
}

describe('account.delete', () => {
  it('deletes the account, ends every session at once, and frees username and email', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const client = world.client();
    await client.register('ada');
    const other = await logIn(world);
    const grace = world.client();
    await grace.register('grace');
    using stream = await openStream(world, other.accessToken);
    const answer = await client.mutate('account.delete', { username: 'ada' });
    expect(answer.body).toEqual({ result: { data: null } });
    await stream.until('"failure":{"code":"session_ended","reason":"revoked"}');
    for (const browser of [client, other]) {
      expect((await browser.query('auth.me')).failure).toEqual(ended);
      expect((await browser.mutate('account.changeUsername', { username: 'again' })).failure).toEqual(ended);
      expect((await browser.mutate('auth.refresh')).failure).toEqual(ended);
    }
    const gone = await world.client().mutate('auth.login', { email, password });
    expect(gone.failure).toEqual({ code: 'invalid_credentials' });
    expect((await grace.query('auth.me')).status).toBe(200);
    expect((await client.mutate('auth.logout')).status).toBe(200);
    await world.client().register('ada');
  });

  it.each(['Ada', 'ada ', 'grace', ''])('refuses %j where the username is ada', async (username) => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');
    const answer = await client.mutate('account.delete', { username });
    expect([answer.status, answer.failure]).toEqual([
      400,
      { code: 'invalid_input', fields: { username: [expect.stringContaining('ada')] } },
    ]);
    expect((await client.query('auth.me')).data).toEqual(user);
  });

  it('says goodbye by mail, and drops those whose links no longer work', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');
    await addWaitingMail(world, { userId: user.id, template: 'verify-email', recipient: email, linkId: 'link' });
    await addWaitingMail(world, { userId: user.id, template: 'password-changed', recipient: email });
    expect((await world.outbox.next(email)).template).toBe('verify-email');
    await client.mutate('account.delete', { username: 'ada' });
    expect((await world.outbox.next(email)).template).toBe('account-deleted');
    expect(await world.sql('select * from links')).toEqual([]);
    await world.outbox.settled();
    // It may be the only sign of a theft.
    expect(await world.sql('select template from outbox')).toEqual([{ template: 'password-changed' }]);
  });

  it('leaves nothing of the person in sessions, links and audit but what happened, and from where it was deleted', async () => {
    await using world = await testWorld({ mail: undefined });
    const client = world.client();
    const { user } = await client.register('lovelace');
    await client.mutate('auth.login', { email: user.email, password: 'wrong' });
    await client.mutate('account.changeUsername', { username: 'Countess' });
    const grace = world.client();
    await grace.register('grace');
    await client.mutate('account.delete', { username: 'Countess' });
    expect(await world.sql(`select user_agent, ip, end_reason from sessions where user_id = '${user.id}'`)).toEqual([
      { user_agent: null, ip: null, end_reason: 'revoked' },
    ]);
    const events = await world.sql(
      `select type, ip, user_agent, detail from audit_events where user_id = '${user.id}' order by id`,
    );
    const forgotten = { ip: null, user_agent: null, detail: null };
    expect(events).toEqual([
      { type: 'registered', ...forgotten },
      { type: 'sign_in_failed', ...forgotten },
      { type: 'username_changed', ...forgotten },
      { type: 'account_deleted', ip: '127.0.0.1', user_agent: expect.any(String), detail: null },
    ]);
    const tables = ['users', 'sessions', 'links', 'outbox', 'audit_events'];
    for (const table of tables)
      expect(JSON.stringify(await world.sql(`select * from ${table}`))).not.toMatch(/lovelace|countess/i);
    expect(await world.sql("select ip from audit_events where type = 'registered' and ip is not null")).toHaveLength(1);
  });

  it('keeps what an admin did to others, without where the admin was', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');
    await world.sql(
      `insert into audit_events (at, type, user_id, actor_id, ip, user_agent, detail)
       values (1, 'registered', 'grace', '${user.id}', '192.0.2.1', 'browser', 'kept')`,
    );
    await client.mutate('account.delete', { username: 'ada' });
    expect(
      await world.sql(`select user_id, ip, user_agent, detail from audit_events where actor_id = '${user.id}'`),
    ).toEqual([{ user_id: 'grace', ip: null, user_agent: null, detail: 'kept' }]);
  });

  it('is refused to the last admin', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    const grace = world.client();
    await grace.register('grace');
    await world.sql("update users set role = 'admin'");
    expect((await grace.mutate('account.delete', { username: 'grace' })).status).toBe(200);
    const refused = await client.mutate('account.delete', { username: 'ada' });
    expect([refused.status, refused.failure]).toEqual([409, { code: 'last_admin' }]);
    expect((await client.query('auth.me')).status).toBe(200);
    expect(await world.sql("select type from audit_events where type = 'account_deleted'")).toHaveLength(1);
  });

  it('happens once, however many tabs ask for it at the same time', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => client.mutate('account.delete', { username: 'ada' })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.map(({ failure }) => failure)).toEqual(refused.map(() => ended));
    await world.outbox.settled();
    expect(world.outbox.mails().filter(({ template }) => template === 'account-deleted')).toHaveLength(1);
  });

  it('leaves no session of a login that was under way', async () => {
    await using world = await testWorld();
    for (let round = 0; round < 5; round += 1) {
      const client = world.client();
      await client.register('ada');
      const browsers = Array.from({ length: 4 }, () => world.client());
      await Promise.all([
        client.mutate('account.delete', { username: 'ada' }),
        ...browsers.map((browser) => browser.mutate('auth.login', { email, password })),
      ]);
      expect(await world.sql('select id from sessions where ended_at is null')).toEqual([]);
    }
  });
});
