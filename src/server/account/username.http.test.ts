import { describe, expect, it } from 'vitest';
import type { User } from '../../shared/auth.ts';
import { openStream } from '../testing/two-servers.ts';
import { testWorld } from '../testing/world.ts';
import { ACCOUNT_LIMITS } from './change.ts';

const NEVER_LOOK_MS = 24 * 60 * 60_000;

describe('account.changeUsername', () => {
  it('answers with the user and shows the name in every page at once', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const client = world.client();
    const { user } = await client.register('ada');
    const other = world.client();
    await other.mutate('auth.login', { email: user.email, password: 'a good password for ada' });
    using stream = await openStream(world, other.accessToken);
    await stream.until('"username":"ada"');
    const answer = await client.mutate('account.changeUsername', { username: 'Lovelace' });
    expect(answer.data).toEqual({ ...user, username: 'Lovelace' });
    await stream.until('"username":"Lovelace"');
    expect((await client.query('auth.me')).data).toEqual({ ...user, username: 'Lovelace' });
    expect(await world.sql("select user_id, detail from audit_events where type = 'username_changed'")).toEqual([
      { user_id: user.id, detail: 'ada → Lovelace' },
    ]);
  });

  it('refuses a name that is taken in any case of letters, and may change the case of its own', async () => {
    await using world = await testWorld();
    await world.client().register('grace');
    const client = world.client();
    await client.register('ada');
    const taken = await client.mutate('account.changeUsername', { username: 'GRACE' });
    expect([taken.status, taken.failure]).toEqual([409, { code: 'username_taken' }]);
    expect((await client.mutate('account.changeUsername', { username: 'Ada' })).data).toMatchObject({
      username: 'Ada',
    });
    expect(
      (await world.client().mutate('auth.login', { email: 'ada@example.com', password: 'a good password for ada' }))
        .data,
    ).toMatchObject({ user: { username: 'Ada' } });
  });

  it('gives a name to only one of two people who want it at the same time', async () => {
    await using world = await testWorld();
    const clients = [world.client(), world.client(), world.client(), world.client()];
    for (const client of clients) await client.register();
    const answers = await Promise.all(
      clients.map((client, index) =>
        client.mutate('account.changeUsername', { username: index % 2 === 0 ? 'wanted' : 'WANTED' }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409, 409]);
  });

  it.each(['', 'ab', 'a'.repeat(33), 'a b', 'pаypal', 7])('refuses %j at its field', async (username) => {
    await using world = await testWorld();
    const client = world.client();
    const { user } = await client.register('ada');
    expect((await client.mutate('account.changeUsername', { username })).failure).toEqual({
      code: 'invalid_input',
      fields: { username: [expect.any(String)] },
    });
    expect((await client.query('auth.me')).data).toEqual(user);
  });

  it('is limited by account, without counting what changes nothing', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register('ada');
    const change = async (username: string) =>
      (await client.mutate('account.changeUsername', { username })).data as User;
    const { points } = ACCOUNT_LIMITS.changeUsername;
    for (let changes = 1; changes <= points; changes += 1) {
      expect(await change(`ada${changes}`)).toMatchObject({ username: `ada${changes}` });
      await change(`ada${changes}`);
    }
    const refused = await client.mutate('account.changeUsername', { username: 'once-more' });
    expect(refused.failure).toEqual({ code: 'rate_limited', retryAfter: expect.any(Number) });
    expect((await client.query('auth.me')).data).toMatchObject({ username: `ada${points}` });
    const grace = world.client();
    await grace.register('grace');
    expect((await grace.mutate('account.changeUsername', { username: 'hopper' })).status).toBe(200);
  });
});
