import { createTRPCClient, TRPCClientError, TRPCUntypedClient } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import { describe, expect, it, vi } from 'vitest';
import { authHeaders, isUnavailable, refreshLink } from './refresh-link.ts';
import { settled } from './testing/fake-browser.ts';
import { endingLink, grantOf, refusal, type RefreshOutcome } from './testing/fake-server.ts';
import { errorOf, expired, openClient, renewedTokens, watch } from './testing/open-client.ts';
import { granted, never } from './testing/open-tab.ts';

describe('a query or mutation', () => {
  it.each(['query', 'mutation'] as const)('SF-01 MU-01 retries a refused %s once, unnoticed', async (type) => {
    const { client, serve, sent, refresh } = openClient();
    serve(renewedTokens);
    expect(await client[type]('me')).toBe('me');
    expect(sent).toHaveLength(2);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SF-02 BA-02 retries five concurrently refused calls with one refresh', async () => {
    const { client, serve, sent, refresh } = openClient();
    serve(renewedTokens);
    expect(await Promise.all(['a', 'b', 'c', 'd', 'e'].map((path) => client.query(path)))).toEqual([
      'a',
      'b',
      'c',
      'd',
      'e',
    ]);
    expect(sent).toHaveLength(10);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SF-10 shares one refresh among the clients of a session', async () => {
    const { client, make, serve, refresh } = openClient();
    serve(renewedTokens);
    await Promise.all([client.query('a'), make().query('b')]);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SF-04 holds back calls started while a refusal is being refreshed, and sends them once', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { client, serve, sent } = openClient({ answers: [promise] });
    serve(renewedTokens);
    const first = client.query('a');
    await settled();
    const second = client.query('b');
    await settled();
    expect(sent).toHaveLength(1);
    resolve(granted({ generation: 2 }));
    await Promise.all([first, second]);
    expect(sent.map(({ op }) => op.path).toSorted()).toEqual(['a', 'a', 'b']);
  });

  it('PR-05 holds everything back for one refresh after sleep, so nothing is refused', async () => {
    const { client, serve, sent, refresh, clock } = openClient();
    serve(renewedTokens);
    clock.sleep(3_600_000);
    await Promise.all([client.query('a'), client.query('b'), client.mutation('c')]);
    expect(sent).toHaveLength(3);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('immediately retries what was refused with an older token', async () => {
    const { client, sent, session, core, refresh } = openClient();
    const late = client.query('a');
    await settled();
    await core.renew(1);
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(sent).toHaveLength(2);
    sent[1]!.next('fine');
    expect(await late).toBe('fine');
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state).toMatchObject({ stale: false });
  });

  it('passes on the error that occurred', async () => {
    const { client, sent, refresh } = openClient({ link: { maxRefreshes: 0 } });
    const mine = refusal(expired);
    const call = errorOf(client.query('a'));
    await settled();
    sent[0]!.fail(mine);
    expect(await call).toBe(mine);
    expect(mine.meta).toEqual({ refresh: 'exhausted' });
    expect(refresh).not.toHaveBeenCalled();
  });

  it('passes on other errors untouched', async () => {
    const { client, sent, refresh } = openClient();
    for (const error of [refusal(undefined, 'INTERNAL_SERVER_ERROR'), refusal({ code: 'invalid_credentials' })]) {
      const call = errorOf(client.query('a'));
      await settled();
      sent.at(-1)!.fail(error);
      expect(await call).toBe(error);
      expect(error.meta).toBeUndefined();
    }
    expect(refresh).not.toHaveBeenCalled();
  });

  it('MU-03 LO-11 BA-05 lets calls skip the session: no waiting, no token, no retry', async () => {
    const { client, sent, refresh } = openClient({ signedIn: false, answers: [never] });
    const call = errorOf(client.mutation('auth.login', {}, { context: { skipAuth: true } }));
    await settled();
    expect(sent[0]!.authorization).toBeUndefined();
    const error = refusal({ code: 'access_token_missing' });
    sent[0]!.fail(error);
    expect(await call).toBe(error);
    expect(refresh).not.toHaveBeenCalled();
  });

  it('LO-11 adds no token to calls that skip the session', async () => {
    const { client, sent } = openClient({ link: { skip: ({ path }) => path === 'open' } });
    void client.query('open');
    void client.query('a');
    await settled();
    expect(sent.map(({ op, authorization }) => [op.path, authorization !== undefined])).toEqual([
      ['open', false],
      ['a', true],
    ]);
  });

  it('SF-12 does not refresh for a refused guest', async () => {
    const { client, serve, sent, refresh } = openClient({ signedIn: false });
    serve(() => false, { code: 'access_token_missing' });
    expect((await errorOf(client.query('a')))?.meta).toMatchObject({ refresh: 'ended' });
    expect(sent).toHaveLength(1);
    expect(sent[0]!.authorization).toBeUndefined();
    expect(refresh).not.toHaveBeenCalled();
  });

  it('holds back an operation before the start', async () => {
    const { client, serve, refresh, session } = openClient({
      signedIn: false,
      refreshOnFirstVisit: true,
    });
    serve(renewedTokens);
    expect(await client.query('a')).toBe('a');
    await session.start();
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('RF-01 gives every caller its own refusal when the session has ended, without further requests', async () => {
    const { client, sent, refresh, session } = openClient({ answers: [{ kind: 'ended', reason: 'revoked' }] });
    const onSignedOut = vi.fn<() => void>();
    const calls = ['a', 'b', 'c'].map((path) => errorOf(client.query(path)));
    await settled();
    session.subscribe(() => {
      if (session.state.status === 'signed-out') onSignedOut();
    });
    const errors = sent.map((dispatch) => {
      const error = refusal(expired);
      dispatch.fail(error);
      return error;
    });
    expect(await Promise.all(calls)).toEqual(errors);
    for (const [i, error] of errors.entries()) {
      expect(await calls[i]).toBe(error);
      expect(error.meta).toEqual({ refresh: 'ended' });
    }
    expect(onSignedOut).toHaveBeenCalledTimes(1);
    const later = errorOf(client.query('d'));
    await settled();
    sent.at(-1)!.fail(refusal({ code: 'access_token_missing' }));
    await later;
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('RF-02 MU-07 fails as unavailable, not UNAUTHORIZED, without the server', async () => {
    const cause = new TypeError('offline');
    const { client, serve, sent } = openClient({ answers: [cause] });
    serve(() => false);
    const error = await errorOf(client.mutation('a'));
    expect(isUnavailable(error)).toBe(true);
    expect(error).toMatchObject({ name: 'TRPCClientError', data: undefined, meta: { retryAfterMs: 1000 }, cause });
    // During the pause, the next one is not even sent.
    expect(isUnavailable(await errorOf(client.mutation('b')))).toBe(true);
    expect(sent).toHaveLength(1);
    expect([undefined, null, new Error('x'), refusal(expired)].map(isUnavailable)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  it('MU-04 treats an error of the second attempt as final', async () => {
    const { client, sent } = openClient();
    const call = errorOf(client.mutation('a'));
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    const lost = new TRPCClientError<AnyRouter>('Failed to fetch', { cause: new TypeError('Failed to fetch') });
    sent[1]!.fail(lost);
    expect(await call).toBe(lost);
    await settled();
    expect(sent).toHaveLength(2);
  });

  it.each([
    ['no code of ours', refusal(undefined)],
    [
      'an answer from before tRPC',
      new TRPCClientError<AnyRouter>('Unable to transform', { meta: { response: { status: 401 } } }),
    ],
  ])('renews the token but does not retry a mutation refused with %s, which may have run', async (_what, error) => {
    const { client, sent, serve, refresh } = openClient();
    const call = errorOf(client.mutation('a'));
    await settled();
    sent[0]!.fail(error);
    expect(await call).toBe(error);
    serve(renewedTokens);
    expect(await client.mutation('b')).toBe('b');
    expect(sent.map(({ op }) => op.path)).toEqual(['a', 'b']);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it.each<[string, TRPCClientError<AnyRouter>, boolean]>([
    ['data', refusal(undefined), true],
    ['the code of the shape', TRPCClientError.from({ error: { code: -32001, message: 'no' } }), true],
    ['the response, where there is no shape', new TRPCClientError('x', { meta: { response: { status: 401 } } }), true],
    [
      'BA-04 a fetch that throws the status',
      new TRPCClientError('x', { cause: Object.assign(new Error('html'), { status: 401 }) }),
      true,
    ],
    ['SU-14 an event source', TRPCClientError.from({ error: { code: 401, message: 'no' } }), true],
    [
      'SU-14 an event source of later versions',
      new TRPCClientError('x', { cause: Object.assign(new Error('e'), { code: 401 }) }),
      true,
    ],
    ['BA-04 nothing to go by', new TRPCClientError('x', { cause: new SyntaxError('<html>') }), false],
    [
      'BA-01 the status of a batch',
      TRPCClientError.from(
        { error: { code: -32600, message: 'bad', data: { code: 'BAD_REQUEST' } } },
        { meta: { response: { status: 401 } } },
      ),
      false,
    ],
  ])('recognizes a refusal by %s', async (_by, error, isRefusal) => {
    const { client, sent } = openClient();
    const call = errorOf(client.query('a'));
    await settled();
    sent[0]!.fail(error);
    await settled();
    expect(sent).toHaveLength(isRefusal ? 2 : 1);
    sent.at(-1)!.next('fine');
    expect(await call).toBe(isRefusal ? undefined : error);
  });

  it.each([
    ['a stream', new ReadableStream(), false],
    ['a generator', (async function* () {})(), false],
    ['a form', new FormData(), true],
    ['a blob', new Blob(['x']), true],
    ['bytes', new Uint8Array(2), true],
  ])('MU-05 retries %s as input only if it can be sent again', async (_what, input, again) => {
    const { client, sent } = openClient();
    const call = errorOf(client.mutation('a', input));
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(sent).toHaveLength(again ? 2 : 1);
    expect(sent.at(-1)!.op.input).toBe(input);
    sent.at(-1)!.next('fine');
    await call;
  });

  it('LO-08 ends a session that the server reports as ended, without a refresh', async () => {
    const { client, serve, refresh, session } = openClient();
    serve(() => false, { code: 'session_ended', reason: 'revoked' });
    expect((await errorOf(client.query('a')))?.meta).toMatchObject({ refresh: 'ended' });
    expect(session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
    expect(refresh).not.toHaveBeenCalled();
  });

  it('LO-08 marks each of many concurrent calls as ended', async () => {
    const { client, serve } = openClient();
    serve(() => false, { code: 'session_ended', reason: 'revoked' });
    const errors = await Promise.all([client.query('a'), client.query('b'), client.mutation('c')].map(errorOf));
    expect(errors.map((error) => error?.meta)).toEqual([
      { refresh: 'ended' },
      { refresh: 'ended' },
      { refresh: 'ended' },
    ]);
  });

  it('gives calls that wait for a first sign-in its token', async () => {
    const { client, sent, session } = openClient({ signedIn: false, answers: [never], refreshOnFirstVisit: true });
    const call = client.query('a');
    const { seen } = watch(client);
    await settled();
    session.signIn(grantOf());
    await settled();
    const bearer = `Bearer ${grantOf().accessToken}`;
    expect(sent.map(({ authorization }) => authorization)).toEqual([bearer, bearer]);
    sent[0]!.next('a');
    expect(await call).toBe('a');
    // So it ends with them.
    void session.signOut();
    expect(seen.completes).toBe(1);
  });

  it('LC-02 settles waiting calls when the session is disposed of', async () => {
    const { client, sent, session, clock } = openClient({ answers: [never] });
    clock.sleep(3_600_000);
    const call = errorOf(client.mutation('a'));
    const { seen } = watch(client);
    await settled();
    session.dispose();
    expect((await call)?.message).toBe('The session was disposed of.');
    await settled();
    expect(seen.errors).toHaveLength(1);
    expect(sent).toEqual([]);
  });

  it('SF-08 works again after a failure', async () => {
    const { client, serve, clock, refresh } = openClient({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    serve(renewedTokens);
    await errorOf(client.query('a'));
    await clock.advance(1000);
    expect(await client.query('a')).toBe('a');
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it('MT-09 lets listeners make calls', async () => {
    const { client, serve, session } = openClient();
    serve(renewedTokens);
    const asked: Promise<unknown>[] = [];
    const stop = session.subscribe(() => {
      if (asked.length < 3) asked.push(client.query('b'));
    });
    await client.query('a');
    stop();
    expect(await Promise.all(asked)).toEqual(asked.map(() => 'b'));
    expect(asked.length).toBeGreaterThan(0);
  });

  it('fails an operation if a link below throws, before and after a refresh', async () => {
    const { session, clock } = openClient();
    const broken = new TRPCUntypedClient<AnyRouter>({
      links: [
        refreshLink({ session }),
        () => () => {
          throw new Error('no ending link');
        },
      ],
    });
    expect(await errorOf(broken.query('a'))).toMatchObject({ message: 'no ending link' });
    clock.sleep(3_600_000);
    expect(await errorOf(broken.query('a'))).toMatchObject({ message: 'no ending link' });
  });

  it('ignores what a link below emits for a finished attempt', async () => {
    const { session } = openClient();
    const observers: { next(value: unknown): void; error(error: unknown): void; complete(): void }[] = [];
    // By hand, because tRPC's own observables would swallow it.
    const sloppy = () => () => ({
      subscribe(observer: (typeof observers)[number]) {
        observers.push(observer);
        return { unsubscribe: () => {} };
      },
    });
    const client = new TRPCUntypedClient<AnyRouter>({ links: [refreshLink({ session }), sloppy as never] });
    const { seen } = watch(client);
    await settled();
    observers[0]!.error(refusal(expired));
    await settled();
    expect(observers).toHaveLength(2);
    observers[0]!.next({ result: { type: 'data', data: 'late' } });
    observers[0]!.error(refusal(expired));
    observers[0]!.complete();
    observers[1]!.next({ result: { type: 'data', data: 'now' } });
    expect(seen).toMatchObject({ data: ['now'], errors: [], completes: 0 });
  });

  it('fails an operation if a function of the app throws', async () => {
    const { client, serve } = openClient({
      link: {
        canReplay: () => {
          throw new Error('a bug in the app');
        },
      },
    });
    serve(renewedTokens);
    expect(await errorOf(client.query('a'))).toMatchObject({ message: 'a bug in the app' });
  });

  it('works with a typed client, and only with a session that createSession made', async () => {
    const { session } = openClient();
    const typed = createTRPCClient<AnyRouter>({
      links: [refreshLink<AnyRouter>({ session }), endingLink(authHeaders(session), ({ next }) => next('fine'))],
    });
    expect(await (typed as unknown as { me: { query(): Promise<unknown> } }).me.query()).toBe('fine');
    expect(() => refreshLink({ session: { ...session } })).toThrow(TypeError);
  });
});
