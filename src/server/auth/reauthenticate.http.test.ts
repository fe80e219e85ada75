import { describe, expect, it } from 'vitest';
import { testWorld, type World } from '../testing/world.ts';

const ELEVEN_MINUTES_MS = 11 * 60_000;

const events = async (world: World, type: string) =>
  world.sql(`select user_id as "userId" from audit_events where type = '${type}'`);

describe('auth.reauthenticate', () => {
  it('opens what needs a recent proof, for ten minutes and for this session only', async () => {
    await using world = await testWorld();
    const ada = world.client();
    const { user, password } = await ada.register('ada');
    const elsewhere = world.client();
    await elsewhere.mutate('auth.login', { email: user.email, password });
    world.clock.advance(ELEVEN_MINUTES_MS);
    const required = { code: 'reauthentication_required' };
    for (const client of [ada, elsewhere]) {
      await client.mutate('auth.refresh');
      expect((await client.query('account.export')).failure).toEqual(required);
    }
    expect((await ada.mutate('auth.reauthenticate', { password })).data).toBeNull();
    expect((await ada.query('account.export')).status).toBe(200);
    expect((await elsewhere.query('account.export')).failure).toEqual(required);
    expect(await events(world, 'reauthenticated')).toEqual([{ userId: user.id }]);
    world.clock.advance(ELEVEN_MINUTES_MS);
    await ada.mutate('auth.refresh');
    expect((await ada.query('account.export')).failure).toEqual(required);
  });

  it('proves nothing with a wrong password, which is recorded', async () => {
    await using world = await testWorld();
    const ada = world.client();
    const { user } = await ada.register('ada');
    world.clock.advance(ELEVEN_MINUTES_MS);
    await ada.mutate('auth.refresh');
    const answer = await ada.mutate('auth.reauthenticate', { password: 'not her password' });
    expect([answer.status, answer.failure]).toEqual([401, { code: 'invalid_credentials' }]);
    expect((await ada.query('account.export')).failure).toEqual({ code: 'reauthentication_required' });
    expect(await events(world, 'reauthentication_failed')).toEqual([{ userId: user.id }]);
  });

  it('does not take the password of somebody else who has the email by then', async () => {
    await using world = await testWorld();
    const [ada, bob] = [world.client(), world.client()];
    const { user } = await ada.register('ada');
    const other = await bob.register('bob');
    world.clock.advance(ELEVEN_MINUTES_MS);
    await ada.mutate('auth.refresh');
    const { accounts, changeAccount, clock } = world.services;
    const { checkPassword } = accounts;
    // After the call has read who asks, and before it looks the email up.
    accounts.checkPassword = async (...input) => {
      await changeAccount({ userId: user.id, now: clock(), set: { email: 'moved@example.com' } });
      await changeAccount({ userId: other.user.id, now: clock(), set: { email: user.email } });
      return checkPassword(...input);
    };
    const answer = await ada.mutate('auth.reauthenticate', { password: other.password });
    expect(answer.failure).toEqual({ code: 'invalid_credentials' });
    expect((await ada.query('account.export')).failure).toEqual({ code: 'reauthentication_required' });
    expect(await events(world, 'reauthentication_failed')).toEqual([{ userId: user.id }]);
    expect(await events(world, 'reauthenticated')).toEqual([]);
  });
});
