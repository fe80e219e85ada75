import { describe, expect, it, vi } from 'vitest';
import { testWorld, type TestClient, type World } from '../testing/world.ts';

/** The API plus a procedure of each class. */
vi.mock('../router.ts', async () => {
  const { adminProcedure, adminSudoProcedure, router, sudoProcedure } = await import('../trpc.ts');
  const { authRouter } = await import('./router.ts');
  const samples = router({
    sudo: sudoProcedure.query(() => 'ran'),
    admin: adminProcedure.query(() => 'ran'),
    adminSudo: adminSudoProcedure.query(() => 'ran'),
  });
  return { appRouter: router({ auth: authRouter, samples }) };
});

const TEN_MINUTES_MS = 10 * 60_000;

async function attempt(client: TestClient): Promise<Record<string, unknown>> {
  const outcome = async (name: string) => {
    const { data, failure } = await client.query(`samples.${name}`);
    return failure?.code ?? data;
  };
  return { sudo: await outcome('sudo'), admin: await outcome('admin'), adminSudo: await outcome('adminSudo') };
}

async function setRole({ services }: World, userId: string, role: 'user' | 'admin'): Promise<void> {
  await services.changeAccount({ userId, now: services.clock(), set: { role } });
}

describe('sudoProcedure, adminProcedure and adminSudoProcedure', () => {
  it('ask for a role, for a recent proof, or for both, the role first', async () => {
    await using world = await testWorld();
    const client = world.client();
    expect(await attempt(client)).toEqual({
      sudo: 'access_token_missing',
      admin: 'access_token_missing',
      adminSudo: 'access_token_missing',
    });
    const { user, password } = await client.register('ada');
    expect(await attempt(client)).toEqual({ sudo: 'ran', admin: 'forbidden', adminSudo: 'forbidden' });
    world.clock.advance(TEN_MINUTES_MS + 1000);
    expect(await attempt(client)).toEqual({
      sudo: 'reauthentication_required',
      admin: 'forbidden',
      adminSudo: 'forbidden',
    });
    // At the next call, with the token issued before.
    await setRole(world, user.id, 'admin');
    expect(await attempt(client)).toEqual({
      sudo: 'reauthentication_required',
      admin: 'ran',
      adminSudo: 'reauthentication_required',
    });
    expect((await client.mutate('auth.reauthenticate', { password })).status).toBe(200);
    expect(await attempt(client)).toEqual({ sudo: 'ran', admin: 'ran', adminSudo: 'ran' });
    // A last admin cannot be demoted.
    const second = await world.client().register('second');
    await setRole(world, second.user.id, 'admin');
    await setRole(world, user.id, 'user');
    expect(await attempt(client)).toEqual({ sudo: 'ran', admin: 'forbidden', adminSudo: 'forbidden' });
  });
});
