import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { AuditPage, PeoplePage, PersonDetails } from '../../shared/admin.ts';
import { openStream } from '../testing/two-servers.ts';
import { testWorld, type TestClient, type World } from '../testing/world.ts';

/** Streams that look so rarely learn of changes only through notifications. */
const NEVER_LOOK_MS = 24 * 60 * 60_000;

/** Registers somebody and makes them an admin. */
async function admin(world: World, name = 'grace') {
  const client = world.client();
  const { user } = await client.register(name);
  await world.sql(`update users set role = 'admin' where id = '${user.id}'`);
  return { client, id: user.id };
}

const query = async <Result>(client: TestClient, path: string, input: object = {}) =>
  (await client.query(`${path}?input=${encodeURIComponent(JSON.stringify(input))}`)).data as Result;
const usernames = ({ people }: PeoplePage) => people.map(({ username }) => username);

/** Every page of a list. */
async function all(client: TestClient, input: object): Promise<string[][]> {
  const pages: string[][] = [];
  let cursor: string | null = null;
  do {
    const answer: PeoplePage = await query(client, 'admin.people', {
      ...input,
      ...(cursor === null ? {} : { cursor }),
    });
    pages.push(usernames(answer));
    cursor = answer.nextCursor;
  } while (cursor !== null);
  return pages;
}

async function fill(world: World, people: [username: string, email: string][]): Promise<void> {
  for (const [username, email] of people)
    await world.sql(
      `insert into users (id, username, email, password_hash, password_changed_at, role, created_at)
       values ('${username}', '${username}', '${email}', 'hash', 0, 'user', 0)`,
    );
}

describe('admin.people', () => {
  it('lists everybody by username in any case, in pages', async () => {
    await using world = await testWorld();
    const { client } = await admin(world);
    await fill(world, [
      ['Bert', 'z@example.com'],
      ['anna', 'y@example.com'],
      ['_x', 'x@example.com'],
      ['Zoe', 'a@example.com'],
    ]);
    expect(await all(client, { limit: 2 })).toEqual([['_x', 'anna'], ['Bert', 'grace'], ['Zoe']]);
  });

  it('finds by the beginning of username or email, in any case, each person once', async () => {
    await using world = await testWorld();
    const { client } = await admin(world);
    await fill(world, [
      ['Ann', 'ann@example.com'],
      ['anne', 'q@example.com'],
      ['bert', 'annual@example.com'],
      ['carl', 'anniversary@example.com'],
      ['dora', 'joann@example.com'],
    ]);
    expect(await all(client, { search: ' ANN ' })).toEqual([['Ann', 'anne', 'carl', 'bert']]);
    for (const limit of [1, 2, 3])
      expect((await all(client, { search: 'ann', limit })).flat()).toEqual(['Ann', 'anne', 'carl', 'bert']);
    expect(await all(client, { search: 'annual@example.com' })).toEqual([['bert']]);
  });

  it.each(['%', '_nn', 'a%', 'é', '\u212a', String.fromCharCode(92)])('takes %j literally', async (search) => {
    await using world = await testWorld();
    const { client } = await admin(world);
    await fill(world, [['ann', 'kate@example.com']]);
    expect(await all(client, { search })).toEqual([[]]);
  });

  it.each([
    { cursor: 'nonsense' },
    { cursor: Buffer.from('{"by":"id"}').toString('base64url') },
    { cursor: Buffer.from('{"by":"email","after":"\\u0000"}').toString('base64url') },
    { limit: 0 },
    { limit: 101 },
    { search: '\0' },
  ])('refuses %j', async (input) => {
    await using world = await testWorld();
    const { client } = await admin(world);
    const answer = await client.query(`admin.people?input=${encodeURIComponent(JSON.stringify(input))}`);
    expect(answer.failure?.code).toBe('invalid_input');
  });
});

describe('admin.person', () => {
  it('tells who somebody is, where they are logged in, and what happened, newest first', async () => {
    await using world = await testWorld();
    const { client, id: adminId } = await admin(world);
    const { user } = await world.client().register('ada');
    world.clock.advance(1_000);
    await client.mutate('admin.setRole', { id: user.id, role: 'admin' });
    const details = await query<PersonDetails>(client, 'admin.person', { id: user.id });
    expect(details.person).toMatchObject({
      username: 'ada',
      role: 'admin',
      disabled: false,
      lastSeenAt: '2030-01-01T00:00:00.000Z',
    });
    expect(details.sessions).toMatchObject([{ createdAt: '2030-01-01T00:00:00.000Z' }]);
    expect(details.audit.events).toMatchObject([
      {
        type: 'role_changed',
        at: '2030-01-01T00:00:01.000Z',
        userId: user.id,
        username: 'ada',
        actorId: adminId,
        actorUsername: 'grace',
        detail: 'user → admin',
      },
      { type: 'registered', actorId: null },
    ]);
    expect(JSON.stringify(details)).not.toMatch(/hash/i);
  });

  it('answers NOT_FOUND for an unknown id, and so do the changes', async () => {
    await using world = await testWorld();
    const { client } = await admin(world);
    expect((await client.query(`admin.person?input=${encodeURIComponent('{"id":"nobody"}')}`)).status).toBe(404);
    for (const [path, input] of [
      ['endSessions', {}],
      ['setRole', { role: 'user' }],
      ['setDisabled', { disabled: true }],
      ['sendPasswordReset', {}],
    ] as const)
      expect((await client.mutate(`admin.${path}`, { id: 'nobody', ...input })).status).toBe(404);
    expect(await world.sql('select id from audit_events where actor_id is not null')).toEqual([]);
  });
});

describe('what an admin changes', () => {
  it('makes and unmakes an admin at their next call, in their pages at once, and by mail', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const { client } = await admin(world);
    const ada = world.client();
    const { user, accessToken } = await ada.register('ada');
    using stream = await openStream(world, accessToken);
    await stream.until('"role":"user"');
    await client.mutate('admin.setRole', { id: user.id, role: 'admin' });
    await stream.until('"role":"admin"');
    expect(usernames(await query(ada, 'admin.people'))).toEqual(['ada', 'grace']);
    const { data } = await ada.mutate('auth.refresh');
    expect(data).toMatchObject({ user: { role: 'admin' } });
    await client.mutate('admin.setRole', { id: user.id, role: 'user' });
    // Its access token still says admin.
    expect((await ada.query('admin.people')).failure).toEqual({ code: 'forbidden' });
    await world.outbox.settled();
    expect(
      world.outbox.mails().filter(({ to, template }) => to === user.email && template === 'role-changed'),
    ).toHaveLength(2);
    expect(await world.sql("select detail from audit_events where type = 'role_changed' order by id")).toEqual([
      { detail: 'user → admin' },
      { detail: 'admin → user' },
    ]);
  });

  it('ends the sessions of whom it disables, who can log in again once enabled', async () => {
    await using world = await testWorld();
    const { client, id: adminId } = await admin(world);
    const ada = world.client();
    const { user, password } = await ada.register('ada');
    const login = () => world.client().mutate('auth.login', { email: user.email, password });
    await client.mutate('admin.setDisabled', { id: user.id, disabled: true });
    await client.mutate('admin.setDisabled', { id: user.id, disabled: true });
    expect((await ada.query('auth.me')).failure).toEqual({ code: 'session_ended', reason: 'revoked' });
    expect((await login()).failure).toEqual({ code: 'account_disabled' });
    expect((await client.mutate('admin.sendPasswordReset', { id: user.id })).failure?.code).toBe('invalid_input');
    await client.mutate('admin.setDisabled', { id: user.id, disabled: false });
    expect((await login()).status).toBe(200);
    const events = await world.sql(
      `select type, user_id as "userId" from audit_events where actor_id = '${adminId}' order by id`,
    );
    expect(events).toEqual([
      { type: 'disabled', userId: user.id },
      { type: 'enabled', userId: user.id },
    ]);
  });

  it('ends every session of a person, who can log in again', async () => {
    await using world = await testWorld();
    const { client } = await admin(world);
    const ada = world.client();
    const { user, password } = await ada.register('ada');
    await world.client().mutate('auth.login', { email: user.email, password });
    expect((await client.mutate('admin.endSessions', { id: user.id })).data).toEqual({ ended: 2 });
    expect((await ada.query('auth.me')).failure?.code).toBe('session_ended');
    expect((await client.query('auth.me')).status).toBe(200);
  });

  it('mails a link to reset the password, or says that no mail is sent', async () => {
    for (const mail of [{ kind: 'mailbox' } as const, undefined]) {
      await using world = await testWorld({ mail });
      const { client } = await admin(world);
      const { user } = await world.client().register('ada');
      const { status, failure } = await client.mutate('admin.sendPasswordReset', { id: user.id });
      expect([status, failure]).toEqual(mail ? [200, undefined] : [412, { code: 'mail_not_configured' }]);
      const links = await world.sql(`select id from links where user_id = '${user.id}' and purpose = 'password-reset'`);
      expect(links).toHaveLength(mail ? 1 : 0);
    }
  });

  it.each<[string, object]>([
    ['endSessions', {}],
    ['setRole', { role: 'admin' }],
    ['setDisabled', { disabled: true }],
    ['sendPasswordReset', {}],
  ])('does nothing in a %s of an admin who is demoted while it runs', async (path, input) => {
    await using world = await testWorld();
    const { client, id } = await admin(world);
    const ada = world.client();
    const { user } = await ada.register('ada');
    await ada.query('auth.me');
    const { findAccount } = world.services;
    world.services.findAccount = async (wanted) => {
      await world.sql(`update users set role = 'user' where id = '${id}'`);
      return findAccount(wanted);
    };
    expect((await client.mutate(`admin.${path}`, { id: user.id, ...input })).failure).toEqual({ code: 'forbidden' });
    expect((await ada.query('auth.me')).data).toMatchObject({ role: 'user' });
    expect(await world.sql("select id from links where purpose = 'password-reset'")).toEqual([]);
    expect(await world.sql('select id from audit_events where actor_id is not null')).toEqual([]);
  });

  it.each<[string, object]>([
    ['admin.setRole', { role: 'user' }],
    ['admin.setDisabled', { disabled: true }],
  ])('leaves the last admin, also where two do %s to each other at once', async (path, input) => {
    await using world = await testWorld();
    const grace = await admin(world);
    const alone = await grace.client.mutate(path, { id: grace.id, ...input });
    expect(alone.failure).toEqual({ code: 'last_admin' });
    const ada = await admin(world, 'ada');
    await Promise.all([
      grace.client.mutate(path, { id: ada.id, ...input }),
      ada.client.mutate(path, { id: grace.id, ...input }),
    ]);
    expect(await world.sql("select id from users where role = 'admin' and disabled_at is null")).toHaveLength(1);
  });
});

describe('docs/operations.md', () => {
  it('has SQL that answers who somebody is, what happened, and who did it', async () => {
    const text = await readFile(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
    const [, section = ''] = text.split('\n### Who is this, what happened, end it\n');
    const [, block = ''] = /```sql\n(.*?)```/s.exec(section) ?? [];
    const statements = block
      .replaceAll(/^--.*$/gm, '')
      .split(';')
      .filter((statement) => statement.trim() !== '');
    await using world = await testWorld();
    const { client } = await admin(world);
    const { user } = await world.client().register('ada');
    await client.mutate('admin.setRole', { id: user.id, role: 'admin' });
    const answers = [];
    for (const statement of statements) answers.push(await world.sql(statement));
    expect(answers).toMatchObject([
      [{ id: user.id, username: 'ada', role: 'admin', disabled_at: null }],
      [
        { type: 'role_changed', detail: 'user → admin', actor: 'grace' },
        { type: 'registered', actor: null },
      ],
      [{ created_at: world.clock.now }],
      [{ type: 'role_changed', user_id: user.id }],
    ]);
  });
});

describe('admin.audit', () => {
  /** Events of the times 1 to `count`, two at each. */
  async function events(world: World, count: number): Promise<void> {
    await world.sql('delete from audit_events');
    for (let at = 1; at <= count; at++)
      for (const [type, userId] of [
        ['signed_in', 'ann'],
        ['exported', 'bert'],
      ])
        await world.sql(`insert into audit_events (at, type, user_id) values (${at}, '${type}', '${userId}')`);
  }
  const at = (time: number) => new Date(time).toISOString();

  it('is read newest first, in pages that miss and repeat nothing', async () => {
    await using world = await testWorld();
    const { client } = await admin(world);
    await events(world, 3);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const answer: AuditPage = await query(client, 'admin.audit', {
        limit: 4,
        ...(cursor === null ? {} : { cursor }),
      });
      seen.push(...answer.events.map((event) => `${event.at.at(-2)} ${event.type}`));
      cursor = answer.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(['3 exported', '3 signed_in', '2 exported', '2 signed_in', '1 exported', '1 signed_in']);
  });

  it.each<[object, number]>([
    [{ userId: 'ann' }, 3],
    [{ type: 'exported' }, 3],
    [{ userId: 'ann', type: 'exported' }, 0],
    [{ from: at(2) }, 4],
    [{ to: at(2) }, 2],
    [{ userId: 'bert', from: at(2), to: at(3) }, 1],
    [{ limit: 1000 }, 6],
  ])('is filtered by %j', async (input, expected) => {
    await using world = await testWorld();
    const { client } = await admin(world);
    await events(world, 3);
    expect((await query<AuditPage>(client, 'admin.audit', input)).events).toHaveLength(expected);
  });

  it.each([{ cursor: 'x' }, { from: 'yesterday' }, { limit: 1001 }])('refuses %j', async (input) => {
    await using world = await testWorld();
    const { client } = await admin(world);
    const answer = await client.query(`admin.audit?input=${encodeURIComponent(JSON.stringify(input))}`);
    expect(answer.failure?.code).toBe('invalid_input');
  });

  it('is kept for as long as the setting says', async () => {
    await using world = await testWorld({ auditRetentionMs: 10_000 });
    const { client } = await admin(world);
    world.clock.advance(9_000);
    await world.services.purge();
    const read = async () => (await query<AuditPage>(client, 'admin.audit')).events.length;
    expect(await read()).toBe(1);
    world.clock.advance(2_000);
    await world.services.purge();
    expect(await read()).toBe(0);
  });
});
