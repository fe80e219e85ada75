import { beforeEach, describe, expect, it, vi } from 'vitest';
import { testWorld, type World } from '../testing/world.ts';
import type { Proof } from './sign-in.ts';
import { anna } from './store/testing/contract.ts';

/** The proofs that the sample feature below derives from codes. */
const proofs = vi.hoisted(() => new Map<string, unknown>());
beforeEach(() => proofs.clear());

const ATTEMPTS = 5;

/** The whole API plus a second way to sign in: with a code. */
vi.mock('../router.ts', async () => {
  const { z } = await import('zod');
  const { cookieProcedure, router } = await import('../trpc.ts');
  const { clientNetwork } = await import('./limits/client-network.ts');
  const { authRouter } = await import('./router.ts');
  const { signIn } = await import('./sign-in.ts');
  const codesRouter = router({
    redeem: cookieProcedure.input(z.strictObject({ code: z.string() })).mutation(async ({ ctx, input }) => {
      const limiter = ctx.services.limiter('codes', { points: ATTEMPTS, durationSeconds: 60 });
      return signIn(ctx, (await limiter(clientNetwork(ctx.req))) ?? (proofs.get(input.code) as Proof));
    }),
  });
  return { appRouter: router({ auth: authRouter, codes: codesRouter }) };
});

const auditTypes = async (world: World) =>
  (await world.sql('select type from audit_events order by id')).map(({ type }) => type);

describe("a feature's own sign-in", () => {
  it('gets the session, cookies, replaced session, audit and known device from signIn', async () => {
    await using world = await testWorld();
    const client = world.client();
    const { user, session } = await client.register('ada');
    const account = (await world.services.findAccount(user.id))!;
    proofs.set('right', { kind: 'account', account } satisfies Proof);
    const answer = await client.mutate('codes.redeem', { code: 'right' });
    expect(answer.data).toMatchObject({ user, expiresIn: 900, session: { generation: 1 } });
    const cookies = answer.headers.getSetCookie().map((cookie) => cookie.split('=', 1)[0]);
    expect(cookies).toEqual(['__Host-refreshToken', '__Host-device']);
    expect((await client.query('auth.me')).data).toEqual(user);
    expect(await world.sql(`select end_reason as reason from sessions where id = '${session.id}'`)).toEqual([
      { reason: 'revoked' },
    ]);
    expect(await auditTypes(world)).toEqual(['registered', 'signed_in', 'ended']);
  });

  it('creates an account together with its first session', async () => {
    await using world = await testWorld();
    const account = anna({ id: 'ada', username: 'Ada', email: 'ada@example.com' });
    proofs.set('invitation', { kind: 'new-account', account } satisfies Proof);
    const client = world.client();
    expect((await client.mutate('codes.redeem', { code: 'invitation' })).data).toMatchObject({ user: { id: 'ada' } });
    expect((await client.query('auth.me')).status).toBe(200);
    // With an id of its own, as every account has: PostgreSQL might report that first.
    proofs.set('invitation', { kind: 'new-account', account: { ...account, id: 'other' } } satisfies Proof);
    const again = await world.client().mutate('codes.redeem', { code: 'invitation' });
    expect([again.status, again.failure, again.setCookie]).toEqual([409, { code: 'username_taken' }, undefined]);
    expect(await auditTypes(world)).toEqual(['registered']);
  });

  it('reports and records a failed proof', async () => {
    await using world = await testWorld();
    const failure = { code: 'invalid_credentials' } as const;
    proofs.set('wrong', { kind: 'failed', failure, email: 'ada@example.com' } satisfies Proof);
    const answer = await world.client().mutate('codes.redeem', { code: 'wrong' });
    expect([answer.status, answer.failure, answer.headers.getSetCookie()]).toEqual([401, failure, []]);
    expect(await world.sql('select type, detail from audit_events')).toEqual([
      { type: 'sign_in_failed', detail: expect.stringMatching(/^[\w-]{43}$/) },
    ]);
  });

  it('has limits of its own, durable and recorded', async () => {
    await using world = await testWorld();
    proofs.set('wrong', { kind: 'failed', failure: { code: 'invalid_credentials' } } satisfies Proof);
    const attempt = () => world.client().mutate('codes.redeem', { code: 'wrong' });
    for (let count = 0; count < ATTEMPTS; count += 1) expect((await attempt()).status).toBe(401);
    expect((await attempt()).failure).toEqual({ code: 'rate_limited', retryAfter: expect.any(Number) });
    expect(await world.sql(`select points from rate_limits where key like 'feature:codes:%'`)).toHaveLength(1);
    expect((await auditTypes(world)).filter((type) => type === 'limited')).toHaveLength(1);
  });

  it('is refused in a batch with other calls', async () => {
    await using world = await testWorld();
    const answer = await world.client().mutate('codes.redeem,auth.logout?batch=1', { 0: { code: 'right' } });
    expect(JSON.stringify(answer.body)).toContain('batch_refused');
  });
});

describe('a disabled account', () => {
  it('is told so after the right password only, and each refusal is recorded', async () => {
    await using world = await testWorld();
    const { user, password } = await world.client().register('ada');
    const { changeAccount, clock } = world.services;
    await changeAccount({ userId: user.id, now: clock(), set: { disabledAt: clock() }, endSessions: {} });
    const logIn = (guess: string) => world.client().mutate('auth.login', { email: user.email, password: guess });
    const wrong = await logIn('not her password');
    expect([wrong.status, wrong.failure]).toEqual([401, { code: 'invalid_credentials' }]);
    const right = await logIn(password);
    expect([right.status, right.failure]).toEqual([403, { code: 'account_disabled' }]);
    expect(right.headers.getSetCookie()).toEqual([]);
    const failures = `select user_id as "userId", detail from audit_events where type = 'sign_in_failed' order by id`;
    expect(await world.sql(failures)).toEqual([
      { userId: user.id, detail: expect.stringMatching(/^[\w-]{43}$/) },
      { userId: user.id, detail: 'account_disabled' },
    ]);
    expect(await world.sql('select id from sessions where ended_at is null')).toEqual([]);
  });

  it('records a sign-in that the disabling has overtaken', async () => {
    await using world = await testWorld();
    const { user, password } = await world.client().register('ada');
    const { accounts, changeAccount, clock } = world.services;
    const { checkPassword } = accounts;
    accounts.checkPassword = async (...input) => {
      const proof = await checkPassword(...input);
      await changeAccount({ userId: user.id, now: clock(), set: { disabledAt: clock() }, endSessions: {} });
      return proof;
    };
    const answer = await world.client().mutate('auth.login', { email: user.email, password });
    expect(answer.failure).toEqual({ code: 'invalid_credentials' });
    expect(await auditTypes(world)).toEqual(['registered', 'sign_in_failed']);
  });
});

describe('the client address', () => {
  it('has one form in session, audit and log', async () => {
    await using world = await testWorld({ trustProxy: 1 });
    const password = 'weaves algebraic patterns';
    await world
      .client()
      .mutate(
        'auth.register',
        { username: 'ada', email: 'ada@example.com', password },
        { headers: { 'x-forwarded-for': '::ffff:192.0.2.7' } },
      );
    expect(await world.sql('select ip from sessions union all select ip from audit_events')).toEqual([
      { ip: '192.0.2.7' },
      { ip: '192.0.2.7' },
    ]);
    const logged = world.log.flatMap((line) => (JSON.parse(line) as { audit?: { ip: string } }).audit?.ip ?? []);
    expect(logged).toEqual(['192.0.2.7']);
  });
});
