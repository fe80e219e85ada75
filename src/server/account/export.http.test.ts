import { describe, expect, it } from 'vitest';
import { addWaitingMail } from '../testing/waiting-mail.ts';
import { testWorld } from '../testing/world.ts';
import { ACCOUNT_LIMITS } from './change.ts';

type Rows = Record<string, unknown>[];
interface Export extends Record<'sessions' | 'events' | 'links' | 'mails', Rows> {
  exportedAt: string;
  account: Record<string, unknown>;
  features: Record<string, unknown>;
}

describe('account.export', () => {
  it('has the account, its sessions, events, links and waiting mails', async () => {
    await using world = await testWorld();
    await world.client().register('grace');
    const client = world.client();
    const { user, session } = await client.register('ada');
    await client.mutate('auth.login', { email: user.email, password: 'wrong' });
    world.clock.advance(60_000);
    const ended = world.client();
    await ended.mutate('auth.login', { email: user.email, password: 'a good password for ada' });
    await ended.mutate('auth.logout');
    await world.outbox.settled();
    await addWaitingMail(world, { userId: user.id, template: 'new-device', recipient: user.email });
    const answer = await client.query('account.export');
    const exported = answer.data as Export;
    expect(exported).toMatchObject({
      exportedAt: '2030-01-01T00:01:00.000Z',
      account: {
        id: user.id,
        username: 'ada',
        email: user.email,
        emailVerifiedAt: null,
        role: 'user',
        createdAt: '2030-01-01T00:00:00.000Z',
        passwordChangedAt: '2030-01-01T00:00:00.000Z',
        disabledAt: null,
      },
      features: {},
    });
    expect(exported.sessions).toEqual([
      expect.objectContaining({ endedAt: '2030-01-01T00:01:00.000Z', endReason: 'revoked', ip: '127.0.0.1' }),
      expect.objectContaining({ id: session.id, endedAt: null, expiresAt: '2030-01-31T00:00:00.000Z' }),
    ]);
    expect(exported.events.map(({ type }) => type)).toEqual([
      'registered',
      'sign_in_failed',
      'signed_in',
      'signed_out',
    ]);
    expect(exported.events[0]).toEqual({
      at: '2030-01-01T00:00:00.000Z',
      type: 'registered',
      byOther: false,
      sessionId: session.id,
      ip: '127.0.0.1',
      userAgent: expect.any(String),
      detail: null,
    });
    expect(exported.links).toEqual([
      {
        purpose: 'email-verification',
        email: user.email,
        createdAt: '2030-01-01T00:00:00.000Z',
        expiresAt: '2030-01-04T00:00:00.000Z',
      },
    ]);
    expect(exported.mails).toEqual([
      {
        template: 'new-device',
        recipient: user.email,
        data: { username: 'ada' },
        createdAt: '2030-01-01T00:01:00.000Z',
      },
    ]);
    expect(JSON.stringify(exported)).not.toContain('grace');
    expect(await world.sql("select user_id from audit_events where type = 'exported'")).toEqual([{ user_id: user.id }]);
  });

  it('has no secret: no hash, no token, and nothing of which a token could be made', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    const [{ hash } = {}] = await world.sql('select password_hash as hash from users');
    const [link] = await world.sql('select id from links');
    const text = JSON.stringify((await client.query('account.export')).body);
    for (const secret of [hash, link?.id, client.cookie, client.accessToken])
      expect(text).not.toContain(String(secret));
    expect(text).not.toContain('$2');
  });

  it("leaves out an admin's address and browser where the admin did it", async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');
    await world.sql(
      `insert into audit_events (at, type, user_id, actor_id, ip, user_agent)
       values (1, 'ended', '${user.id}', 'grace', '192.0.2.1', 'browser of grace')`,
    );
    const { events } = (await client.query('account.export')).data as Export;
    expect(events).toContainEqual(expect.objectContaining({ type: 'ended', byOther: true, ip: null, userAgent: null }));
    expect(JSON.stringify(events)).not.toMatch(/grace|192\.0\.2\.1/);
  });

  it('has thousands of events in their order', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');
    const values = Array.from({ length: 1_200 }, (_, index) => `(${index}, 'signed_in', '${user.id}', '${index}')`);
    await world.sql(`insert into audit_events (at, type, user_id, detail) values ${values.join(',')}`);
    const { events } = (await client.query('account.export')).data as Export;
    expect(events.slice(1).map(({ detail }) => detail)).toEqual(
      Array.from({ length: 1_200 }, (_, index) => `${index}`),
    );
  });

  it('is limited by account', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    for (let exports = 0; exports < ACCOUNT_LIMITS.export.points; exports += 1)
      expect((await client.query('account.export')).status).toBe(200);
    expect((await client.query('account.export')).failure?.code).toBe('rate_limited');
  });
});
