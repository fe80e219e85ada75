import { createTRPCClient, TRPCClientError, TRPCUntypedClient, type Operation } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Failure } from '../../shared/failures.ts';
import { authHeaders, isUnavailable, refreshLink, type RefreshLinkOptions } from './refresh-link.ts';
import { coreOf } from './session-core.ts';
import { createSession, type RefreshOutcome, type Session, type SessionOptions } from './session.ts';
import { fakeBrowser, settled } from './testing/fake-browser.ts';
import { endingLink, grantOf, person, refusal, type Sent } from './testing/fake-server.ts';

const expired: Failure = { code: 'access_token_expired' };
const never = new Promise<never>(() => {});
const granted = (over?: Parameters<typeof grantOf>[0]): RefreshOutcome => ({ kind: 'granted', grant: grantOf(over) });
const sessions: Session[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.dispose();
});

type Answer = RefreshOutcome | Error | Promise<RefreshOutcome>;

/** A client of one tab; somebody is signed in with a token of generation 1. Each dispatch waits in `sent` to be answered. */
function world({
  answers = [granted({ generation: 2 }), granted({ generation: 3 }), granted({ generation: 4 })],
  link,
  sessionOptions,
  signedIn = true,
}: {
  answers?: Answer[];
  link?: Partial<RefreshLinkOptions>;
  sessionOptions?: Partial<SessionOptions>;
  signedIn?: boolean;
} = {}) {
  const browser = fakeBrowser();
  const tab = browser.tab();
  const left = [...answers];
  const refresh = vi.fn<SessionOptions['refresh']>(async () => {
    const answer = left.length > 1 ? left.shift()! : left[0]!;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const session = createSession({
    refresh,
    logout: async () => {},
    cooldown: { baseMs: 2000, maxMs: 8000 },
    refreshOnFirstVisit: false,
    ...sessionOptions,
    environment: tab.environment,
  });
  sessions.push(session);
  if (signedIn) session.signIn(grantOf());
  const sent: Sent[] = [];
  let answer = (dispatch: Sent): void => void sent.push(dispatch);
  const ending = endingLink(authHeaders(session), (dispatch) => answer(dispatch));
  const make = () => new TRPCUntypedClient<AnyRouter>({ links: [refreshLink({ session, ...link }), ending] });
  const client = make();
  return {
    browser,
    clock: browser.clock,
    tab,
    session,
    core: coreOf(session),
    refresh,
    sent,
    client,
    make,
    /** The server takes exactly the tokens of `generations`, and answers what it was asked. */
    serve(isGood: (authorization: string | undefined) => boolean, failure: Failure | undefined = expired) {
      answer = (dispatch) => {
        sent.push(dispatch);
        if (!isGood(dispatch.authorization)) return dispatch.fail(refusal(failure));
        dispatch.next(dispatch.op.path);
        dispatch.complete();
      };
    },
  };
}

const secondTokenOn = (authorization: string | undefined) => !!authorization && !authorization.includes('secret-s1-1-');
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error as TRPCClientError<AnyRouter>,
  );

function watch(client: TRPCUntypedClient<AnyRouter>, input?: unknown, signal?: AbortSignal) {
  const seen = {
    data: [] as unknown[],
    states: [] as string[],
    errors: [] as TRPCClientError<AnyRouter>[],
    completes: 0,
  };
  const { unsubscribe } = client.subscription('events', input, {
    ...(signal && { signal }),
    onData: (value: unknown) => seen.data.push(value),
    onConnectionStateChange: ({ state, error }) => seen.states.push(error ? `${state}!` : state),
    onError: (error) => seen.errors.push(error),
    onComplete: () => seen.completes++,
  });
  return { ...seen, seen, unsubscribe };
}

describe('queries and mutations', () => {
  it.each(['query', 'mutation'] as const)(
    'SF-01 MU-01 a refused %s is sent again, once, and nobody notices',
    async (type) => {
      const { client, serve, sent, refresh } = world();
      serve(secondTokenOn);
      expect(await client[type]('me')).toBe('me');
      expect(sent).toHaveLength(2);
      expect(refresh).toHaveBeenCalledTimes(1);
    },
  );

  it('SF-02 BA-02 five refused at once are sent again with one refresh', async () => {
    const { client, serve, sent, refresh } = world();
    serve(secondTokenOn);
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

  it('SF-10 two clients with one session have one refresh', async () => {
    const { client, make, serve, refresh } = world();
    serve(secondTokenOn);
    await Promise.all([client.query('a'), make().query('b')]);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SF-04 what starts while a refusal is being mended waits, and is sent once', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { client, serve, sent } = world({ answers: [promise] });
    serve(secondTokenOn);
    const first = client.query('a');
    await settled();
    const second = client.query('b');
    await settled();
    expect(sent).toHaveLength(1);
    resolve(granted({ generation: 2 }));
    await Promise.all([first, second]);
    expect(sent.map(({ op }) => op.path).toSorted()).toEqual(['a', 'a', 'b']);
  });

  it('PR-05 after a sleep everything waits for one refresh, and nothing is refused', async () => {
    const { client, serve, sent, refresh, clock } = world();
    serve(secondTokenOn);
    clock.sleep(3_600_000);
    await Promise.all([client.query('a'), client.query('b'), client.mutation('c')]);
    expect(sent).toHaveLength(3);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('a late refusal of an older token is sent again at once', async () => {
    const { client, sent, session, core, refresh } = world();
    const late = client.query('a');
    await settled();
    await core.renew(core.stamp());
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(sent).toHaveLength(2);
    sent[1]!.next('fine');
    expect(await late).toBe('fine');
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state).toMatchObject({ stale: false });
  });

  it('SF-06 PR-08 a fresh token that is refused stops it, and the session rests', async () => {
    const { client, serve, sent, refresh, session } = world();
    serve(() => false);
    const error = await caught(client.query('a'));
    expect(error?.meta).toMatchObject({ refresh: 'exhausted' });
    expect(error?.data?.code).toBe('UNAUTHORIZED');
    expect(sent).toHaveLength(2);
    expect(session.state).toMatchObject({ status: 'signed-in', stale: true });
    for (let i = 0; i < 10; i++) expect(isUnavailable(await caught(client.query('b')))).toBe(true);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('the error passed on is the one that came up', async () => {
    const { client, sent, refresh } = world({ link: { maxRefreshes: 0 } });
    const mine = refusal(expired);
    const call = caught(client.query('a'));
    await settled();
    sent[0]!.fail(mine);
    expect(await call).toBe(mine);
    expect(mine.meta).toEqual({ refresh: 'exhausted' });
    expect(refresh).not.toHaveBeenCalled();
  });

  it('what is no refusal is passed on untouched', async () => {
    const { client, sent, refresh } = world();
    for (const error of [refusal(undefined, 'INTERNAL_SERVER_ERROR'), refusal({ code: 'invalid_credentials' })]) {
      const call = caught(client.query('a'));
      await settled();
      sent.at(-1)!.fail(error);
      expect(await call).toBe(error);
      expect(error.meta).toBeUndefined();
    }
    expect(refresh).not.toHaveBeenCalled();
  });

  it('MU-03 LO-11 BA-05 what skips the session never waits, carries no token, and is passed on', async () => {
    const { client, sent, refresh } = world({ signedIn: false, answers: [never] });
    const call = caught(client.mutation('auth.login', {}, { context: { skipAuth: true } }));
    await settled();
    expect(sent[0]!.authorization).toBeUndefined();
    const error = refusal({ code: 'access_token_missing' });
    sent[0]!.fail(error);
    expect(await call).toBe(error);
    expect(refresh).not.toHaveBeenCalled();
  });

  it('LO-11 what an app says is to skip the session carries no token either', async () => {
    const { client, sent } = world({ link: { skip: ({ path }) => path === 'open' } });
    void client.query('open');
    void client.query('a');
    await settled();
    expect(sent.map(({ op, authorization }) => [op.path, authorization !== undefined])).toEqual([
      ['open', false],
      ['a', true],
    ]);
  });

  it('SF-12 a guest is refused without a refresh', async () => {
    const { client, serve, sent, refresh } = world({ signedIn: false });
    serve(() => false, { code: 'access_token_missing' });
    expect((await caught(client.query('a')))?.meta).toMatchObject({ refresh: 'ended' });
    expect(sent).toHaveLength(1);
    expect(sent[0]!.authorization).toBeUndefined();
    expect(refresh).not.toHaveBeenCalled();
  });

  it('an operation before the start waits for it', async () => {
    const { client, serve, refresh, session } = world({
      signedIn: false,
      sessionOptions: { refreshOnFirstVisit: true },
    });
    serve(secondTokenOn);
    expect(await client.query('a')).toBe('a');
    await session.start();
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('RF-01 when the session is over everybody gets their own refusal, and nothing more is asked', async () => {
    const { client, sent, refresh, session } = world({ answers: [{ kind: 'ended', reason: 'revoked' }] });
    const told = vi.fn<() => void>();
    const calls = ['a', 'b', 'c'].map((path) => caught(client.query(path)));
    await settled();
    session.subscribe(() => {
      if (session.state.status === 'signed-out') told();
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
    expect(told).toHaveBeenCalledTimes(1);
    const later = caught(client.query('d'));
    await settled();
    sent.at(-1)!.fail(refusal({ code: 'access_token_missing' }));
    await later;
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('RF-02 MU-07 without the server it fails as unavailable, which is no UNAUTHORIZED', async () => {
    const cause = new TypeError('offline');
    const { client, serve, sent } = world({ answers: [cause] });
    serve(() => false);
    const error = await caught(client.mutation('a'));
    expect(isUnavailable(error)).toBe(true);
    expect(error).toMatchObject({ name: 'TRPCClientError', data: undefined, meta: { retryAfterMs: 1000 }, cause });
    // While it rests the next one is not even sent.
    expect(isUnavailable(await caught(client.mutation('b')))).toBe(true);
    expect(sent).toHaveLength(1);
    expect([undefined, null, new Error('x'), refusal(expired)].map(isUnavailable)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  it('MU-04 an error of the second sending is final', async () => {
    const { client, sent } = world();
    const call = caught(client.mutation('a'));
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
  ])('a mutation refused with %s is not sent again, for it may have happened', async (_what, error) => {
    const { client, sent, refresh } = world();
    const call = caught(client.mutation('a'));
    await settled();
    sent[0]!.fail(error);
    expect(await call).toBe(error);
    expect(refresh).not.toHaveBeenCalled();
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
  ])('knows a refusal by %s', async (_by, error, isRefusal) => {
    const { client, sent } = world();
    const call = caught(client.query('a'));
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
  ])('MU-05 %s as input: sent again only if it can be', async (_what, input, again) => {
    const { client, sent } = world();
    const call = caught(client.mutation('a', input));
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(sent).toHaveLength(again ? 2 : 1);
    expect(sent.at(-1)!.op.input).toBe(input);
    sent.at(-1)!.next('fine');
    await call;
  });

  it('LO-08 an ended session ends here too, without a refresh', async () => {
    const { client, serve, refresh, session } = world();
    serve(() => false, { code: 'session_ended', reason: 'revoked' });
    expect((await caught(client.query('a')))?.meta).toMatchObject({ refresh: 'ended' });
    expect(session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
    expect(refresh).not.toHaveBeenCalled();
  });

  it('LO-08 of many that are told so at once, all were ended', async () => {
    const { client, serve } = world();
    serve(() => false, { code: 'session_ended', reason: 'revoked' });
    const errors = await Promise.all([client.query('a'), client.query('b'), client.mutation('c')].map(caught));
    expect(errors.map((error) => error?.meta)).toEqual([
      { refresh: 'ended' },
      { refresh: 'ended' },
      { refresh: 'ended' },
    ]);
  });

  it('an ended session of before says nothing about the present one', async () => {
    const { client, sent, session } = world();
    const call = caught(client.query('a'));
    await settled();
    session.signIn(grantOf({ sid: 's2' }));
    sent[0]!.fail(refusal({ code: 'session_ended', reason: 'revoked' }));
    expect((await call)?.meta).toMatchObject({ refresh: 'superseded' });
    expect(session.state.status).toBe('signed-in');
  });

  it.each([
    ['signing out', (session: Session) => void session.signOut()],
    ['signing in as somebody else', (session: Session) => session.signIn(grantOf({ sid: 's2', name: 'bob' }))],
  ])('LO-07 %s while waiting: the refusal is passed on, and nothing is sent as somebody else', async (_what, act) => {
    const { client, sent, session } = world({ answers: [never] });
    const call = caught(client.query('a'));
    await settled();
    const error = refusal(expired);
    sent[0]!.fail(error);
    await settled();
    act(session);
    expect(await call).toBe(error);
    expect(error.meta).toEqual({ refresh: 'superseded' });
    expect(sent).toHaveLength(1);
  });

  it('another session in the answer: the refusal is passed on, and nothing is sent again', async () => {
    const { client, sent, session } = world({ answers: [granted({ sid: 's2', name: 'bob' })] });
    const call = caught(client.mutation('a'));
    await settled();
    sent[0]!.fail(refusal(expired));
    expect((await call)?.meta).toEqual({ refresh: 'superseded' });
    expect(sent).toHaveLength(1);
    expect(session.state).toMatchObject({ user: person('bob') });
  });

  it('LO-07 somebody else between the new token and the second sending: nothing is sent again', async () => {
    const { client, sent, session } = world();
    const call = caught(client.query('a'));
    await settled();
    session.subscribe(() => {
      const { state } = session;
      if (state.status === 'signed-in' && state.session.generation === 2)
        session.signIn(grantOf({ sid: 's2', name: 'bob' }));
    });
    sent[0]!.fail(refusal(expired));
    expect((await call)?.meta).toEqual({ refresh: 'superseded' });
    expect(sent).toHaveLength(1);
  });

  it('an operation that waited while the person changed is sent without a token', async () => {
    const { client, sent, session, clock } = world({ answers: [never] });
    clock.sleep(3_600_000);
    const call = caught(client.query('a'));
    await settled();
    session.signIn(grantOf({ sid: 's2', name: 'bob' }));
    await settled();
    expect(sent.map(({ authorization }) => authorization)).toEqual([undefined]);
    sent[0]!.fail(refusal({ code: 'access_token_missing' }));
    expect((await call)?.meta).toMatchObject({ refresh: 'superseded' });
  });

  it('an operation that waited for anybody at all carries the token of who came', async () => {
    const sessionOptions = { refreshOnFirstVisit: true };
    const { client, sent, session } = world({ signedIn: false, answers: [never], sessionOptions });
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

  it('LC-02 an operation that waits when the session is disposed of is settled, and not sent', async () => {
    const { client, sent, session, clock } = world({ answers: [never] });
    clock.sleep(3_600_000);
    const call = caught(client.mutation('a'));
    const { seen } = watch(client);
    await settled();
    session.dispose();
    expect((await call)?.meta).toEqual({ refresh: 'superseded' });
    await settled();
    expect(seen.errors).toHaveLength(1);
    expect(sent).toEqual([]);
  });

  it('headers are made late: an operation of before carries nothing, and a batch with it neither', async () => {
    const { client, sent, session } = world();
    const call = client.query('a');
    session.signIn(grantOf({ sid: 's2', name: 'bob' }));
    const other = client.query('b');
    await settled();
    expect(sent.map(({ authorization }) => authorization)).toEqual([undefined, expect.stringContaining('secret-s2')]);
    const headers = authHeaders(session)({ opList: sent.map(({ op }) => op) });
    expect(headers).toEqual({});
    // Sent without a token, so the refusal asks for no refresh.
    sent[1]!.fail(refusal({ code: 'access_token_missing' }));
    await settled();
    expect(sent).toHaveLength(3);
    sent[2]!.next('fine');
    expect(await other).toBe('fine');
    sent[0]!.next('public');
    expect(await call).toBe('public');
  });

  it('SF-08 works again after a failure', async () => {
    const { client, serve, clock, refresh } = world({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    serve(secondTokenOn);
    await caught(client.query('a'));
    await clock.advance(1000);
    expect(await client.query('a')).toBe('a');
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it('MT-09 a listener may ask for something itself', async () => {
    const { client, serve, session } = world();
    serve(secondTokenOn);
    const asked: Promise<unknown>[] = [];
    const stop = session.subscribe(() => {
      if (asked.length < 3) asked.push(client.query('b'));
    });
    await client.query('a');
    stop();
    expect(await Promise.all(asked)).toEqual(asked.map(() => 'b'));
    expect(asked.length).toBeGreaterThan(0);
  });

  it('a link below that throws fails the operation, before and after a refresh', async () => {
    const { session, clock } = world();
    const broken = new TRPCUntypedClient<AnyRouter>({
      links: [
        refreshLink({ session }),
        () => () => {
          throw new Error('no ending link');
        },
      ],
    });
    expect(await caught(broken.query('a'))).toMatchObject({ message: 'no ending link' });
    clock.sleep(3_600_000);
    expect(await caught(broken.query('a'))).toMatchObject({ message: 'no ending link' });
  });

  it('what a link below says of an attempt that is over is not listened to', async () => {
    const { session } = world();
    const observers: { next(value: unknown): void; error(error: unknown): void; complete(): void }[] = [];
    // By hand: tRPC's own observables would keep such things to themselves.
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

  it('a rule of the app that throws fails the operation', async () => {
    const { client, serve } = world({
      link: {
        canReplay: () => {
          throw new Error('a bug in the app');
        },
      },
    });
    serve(secondTokenOn);
    expect(await caught(client.query('a'))).toMatchObject({ message: 'a bug in the app' });
  });

  it('works with a client made of a router', async () => {
    const { session } = world();
    const typed = createTRPCClient<AnyRouter>({
      links: [refreshLink<AnyRouter>({ session }), endingLink(authHeaders(session), ({ next }) => next('fine'))],
    });
    expect(await (typed as unknown as { me: { query(): Promise<unknown> } }).me.query()).toBe('fine');
    expect(() => refreshLink({ session: { ...session } })).toThrow(TypeError);
  });
});

describe('abort', () => {
  it('AB-02 what was aborted before is told after subscribing, as everything else', async () => {
    const { client } = world();
    const { promise, resolve } = Promise.withResolvers<string>();
    let subscribed = false;
    client.subscription('events', undefined, {
      signal: AbortSignal.abort(),
      onError: () => resolve(subscribed ? 'afterwards' : 'in between'),
    });
    subscribed = true;
    expect(await promise).toBe('afterwards');
  });

  const isAbort = (error: unknown) =>
    expect(error).toMatchObject({ name: 'TRPCClientError', cause: { name: 'AbortError' } });

  it('AB-02 what is aborted before is never sent', async () => {
    const { client, sent, refresh } = world();
    isAbort(await caught(client.query('a', undefined, { signal: AbortSignal.abort() })));
    expect(sent).toHaveLength(0);
    expect(refresh).not.toHaveBeenCalled();
  });

  it('AB-06 an abort while waiting for the refresh is answered at once', async () => {
    const { client, sent, refresh } = world({ answers: [never] });
    const controller = new AbortController();
    const call = caught(client.query('a', undefined, { signal: controller.signal }));
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    controller.abort();
    isAbort(await call);
    expect(sent).toHaveLength(1);
    // Others may wait for it.
    expect(refresh.mock.calls[0]![0].signal.aborted).toBe(false);
  });

  it('an abort while waiting before the first sending sends nothing', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { client, sent, clock } = world({ answers: [promise] });
    clock.sleep(3_600_000);
    const controller = new AbortController();
    const call = caught(client.query('a', undefined, { signal: controller.signal }));
    await settled();
    controller.abort();
    isAbort(await call);
    resolve(granted({ generation: 2 }));
    await settled();
    expect(sent).toHaveLength(0);
  });

  it('AB-05 BA-09 an abort during a sending cancels that', async () => {
    const { client, sent } = world();
    const controller = new AbortController();
    const call = caught(client.query('a', undefined, { signal: controller.signal }));
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    controller.abort();
    isAbort(await call);
    expect(sent[1]!.isCancelled()).toBe(true);
  });

  it('AB-08 an abort afterwards is nothing', async () => {
    const { client, serve } = world();
    serve(secondTokenOn);
    const controller = new AbortController();
    expect(await client.query('a', undefined, { signal: controller.signal })).toBe('a');
    controller.abort();
    await settled();
  });

  it('AB-07 a thousand operations leave no listener on a signal that lives', async () => {
    const { client, serve } = world();
    serve(secondTokenOn);
    const { signal } = new AbortController();
    let listening = 0;
    const add = vi.spyOn(signal, 'addEventListener').mockImplementation(() => void listening++);
    const remove = vi.spyOn(signal, 'removeEventListener').mockImplementation(() => void listening--);
    await Promise.all(Array.from({ length: 1000 }, () => client.query('a', undefined, { signal })));
    expect(add).toHaveBeenCalledTimes(1000);
    expect(remove).toHaveBeenCalled();
    expect(listening).toBe(0);
  });
});

describe('subscriptions', () => {
  const dataOf = (id: string) => ({ id, data: id });

  it('SU-04 a stream that is refused after its first event, again and again, is not renewed without end', async () => {
    const { client, sent, refresh } = world({ answers: [granted({ generation: 2 })] });
    const { seen } = watch(client);
    for (let i = 0; i < 100; i++) {
      await settled();
      if (seen.errors.length > 0) break;
      sent.at(-1)!.next(i, `${i}`);
      sent.at(-1)!.fail(refusal(expired));
    }
    expect(seen.errors[0]?.meta).toMatchObject({ refresh: 'exhausted' });
    expect(refresh.mock.calls.length).toBeLessThan(30);
  });

  it('SU-01 a refused first connection is connected again', async () => {
    const { client, sent, refresh } = world();
    const { seen, unsubscribe } = watch(client);
    await settled();
    sent[0]!.state({ type: 'started' });
    sent[0]!.state({ type: 'state', state: 'pending', error: null });
    sent[0]!.fail(refusal(expired));
    await settled();
    sent[1]!.state({ type: 'state', state: 'pending', error: null });
    sent[1]!.next('one');
    expect(seen).toEqual({ data: ['one'], states: ['pending', 'connecting!', 'pending'], errors: [], completes: 0 });
    expect(refresh).toHaveBeenCalledTimes(1);
    unsubscribe();
    expect(sent[1]!.isCancelled()).toBe(true);
  });

  it.each([
    [undefined, { lastEventId: '2' }],
    [{ room: 'a' }, { room: 'a', lastEventId: '2' }],
    ['a', 'a'],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  ])('SU-02 SU-06 it goes on where it was: input %j', async (input, resumed) => {
    const { client, sent } = world();
    const { seen, unsubscribe } = watch(client, input);
    await settled();
    sent[0]!.next(dataOf('1'), '1');
    sent[0]!.next(dataOf('2'), '2');
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(sent[0]!.op.input).toEqual(input);
    expect(sent[1]!.op.input).toEqual(resumed);
    sent[1]!.next(dataOf('3'), '3');
    expect(seen.data).toEqual([dataOf('1'), dataOf('2'), dataOf('3')]);
    unsubscribe();
  });

  it('SU-02 SU-04 every period that was healthy may end with a refresh', async () => {
    const { client, sent, refresh } = world();
    const { seen, unsubscribe } = watch(client);
    for (let i = 1; i <= 5; i++) {
      await settled();
      sent.at(-1)!.next(dataOf(`${i}`), `${i}`);
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(refresh).toHaveBeenCalledTimes(5);
    expect(seen.errors).toEqual([]);
    expect(seen.data).toHaveLength(5);
    unsubscribe();
  });

  it('SU-04 so may one that stood for long without a word', async () => {
    const { client, sent, clock } = world();
    const { seen, unsubscribe } = watch(client);
    for (let i = 1; i <= 3; i++) {
      await settled();
      sent.at(-1)!.state({ type: 'started' });
      await clock.advance(5000);
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(seen.errors).toEqual([]);
    expect(sent).toHaveLength(4);
    unsubscribe();
  });

  it('SU-04 SU-06 so may one whose connection had come back by itself', async () => {
    const { client, sent, clock } = world({ sessionOptions: { proactive: false } });
    const { seen, unsubscribe } = watch(client);
    await settled();
    sent[0]!.state({ type: 'started' });
    sent[0]!.fail(refusal(expired));
    await settled();
    sent[1]!.state({ type: 'started' });
    await clock.advance(600_000);
    sent[1]!.state({ type: 'started' });
    sent[1]!.fail(refusal(expired));
    await settled();
    expect(seen.errors).toEqual([]);
    expect(sent).toHaveLength(3);
    unsubscribe();
  });

  it('SU-04 with tokens of a second too', async () => {
    const second = granted({ generation: 2, expiresIn: 1 });
    const { client, sent, session, clock } = world({ answers: [second] });
    session.signIn(grantOf({ expiresIn: 1 }));
    const { seen, unsubscribe } = watch(client);
    for (let i = 1; i <= 3; i++) {
      await settled();
      sent.at(-1)!.state({ type: 'started' });
      await clock.advance(900);
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(seen.errors).toEqual([]);
    unsubscribe();
  });

  it('but one that is refused as soon as it has started is over', async () => {
    const { client, sent, refresh } = world();
    const { seen } = watch(client);
    for (let i = 0; i < 2; i++) {
      await settled();
      sent.at(-1)!.state({ type: 'started' });
      sent.at(-1)!.fail(refusal(expired));
    }
    await settled();
    expect(sent).toHaveLength(2);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(seen.errors.map(({ meta }) => meta)).toEqual([{ refresh: 'exhausted' }]);
    expect(seen.completes).toBe(0);
  });

  it('SU-05 SU-07 a connection that comes back by itself carries the token of the day', async () => {
    const { client, sent, session, core } = world();
    const { unsubscribe } = watch(client);
    await settled();
    const op: Operation = sent[0]!.op;
    expect(authHeaders(session)({ op })).toEqual({ authorization: `Bearer ${grantOf().accessToken}` });
    await core.renew(core.stamp());
    expect(authHeaders(session)({ op })).toEqual({ authorization: `Bearer ${grantOf({ generation: 2 }).accessToken}` });
    // Refused on that connection, it is the new token that was refused.
    session.signIn(grantOf({ sid: 's2' }));
    expect(authHeaders(session)({ op })).toEqual({});
    unsubscribe();
  });

  it('SU-12 while the server cannot be reached it stays, and resumes when it can', async () => {
    const { client, sent, clock, refresh } = world({
      answers: [new TypeError('offline'), new TypeError('offline'), granted({ generation: 2 })],
    });
    const { seen, unsubscribe } = watch(client);
    await settled();
    sent[0]!.next(dataOf('1'), '1');
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(seen.errors).toEqual([]);
    expect(seen.states).toEqual(['connecting!', 'connecting!']);
    await clock.advance(3000);
    expect(refresh).toHaveBeenCalledTimes(3);
    expect(sent).toHaveLength(2);
    expect(sent[1]!.op.input).toEqual({ lastEventId: '1' });
    unsubscribe();
  });

  it('SU-12 one that begins meanwhile waits too', async () => {
    const { client, sent, clock } = world({ answers: [new TypeError('offline'), granted({ generation: 2 })] });
    clock.sleep(3_600_000);
    const { seen, unsubscribe } = watch(client);
    await settled();
    expect(sent).toHaveLength(0);
    await clock.advance(1000);
    expect(sent).toHaveLength(1);
    expect(seen.errors).toEqual([]);
    unsubscribe();
  });

  it.each([
    ['SU-10 logging out', (session: Session) => void session.signOut()],
    ['SU-11 somebody else', (session: Session) => session.signIn(grantOf({ sid: 's2', name: 'bob' }))],
    ['the end', (session: Session) => session.ended('revoked', 's1')],
    ['disposing', (session: Session) => session.dispose()],
  ])('%s closes it, once', async (_what, act) => {
    const { client, sent, session } = world();
    const { seen } = watch(client);
    await settled();
    act(session);
    await settled();
    expect(sent[0]!.isCancelled()).toBe(true);
    sent[0]!.next('late');
    sent[0]!.complete();
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(seen).toMatchObject({ data: [], errors: [], completes: 1 });
    expect(sent).toHaveLength(1);
  });

  it('SU-10 logging out while it waits for the server is its end too', async () => {
    const { client, sent, session, clock } = world({ answers: [new TypeError('offline')] });
    const { seen } = watch(client);
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    void session.signOut();
    await clock.advance(60_000);
    expect(seen.errors.map(({ meta }) => meta)).toEqual([{ refresh: 'superseded' }]);
    expect(seen.completes).toBe(0);
    expect(sent).toHaveLength(1);
  });

  it("what an app's onError throws is not swallowed", async () => {
    const { client, sent } = world();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection').once('unhandledRejection', resolve);
    const mistake = new Error('a mistake of the app');
    client.subscription('events', undefined, {
      onError() {
        throw mistake;
      },
    });
    await settled();
    sent[0]!.fail(refusal(undefined, 'INTERNAL_SERVER_ERROR'));
    expect(await promise).toBe(mistake);
    for (const other of others) process.on('unhandledRejection', other);
  });

  it('its own end is told as an error, not as a silence', async () => {
    const { client, sent, session } = world();
    const { seen } = watch(client);
    await settled();
    sent[0]!.fail(refusal({ code: 'session_ended', reason: 'revoked' }));
    await settled();
    expect(seen.errors.map(({ meta }) => meta)).toEqual([{ refresh: 'ended' }]);
    expect(seen.completes).toBe(0);
    expect(session.state.status).toBe('signed-out');
  });

  it('a stream of a guest outlives the login', async () => {
    const { client, sent, session } = world({ signedIn: false });
    await session.start();
    const { seen, unsubscribe } = watch(client);
    await settled();
    session.signIn(grantOf());
    await settled();
    sent[0]!.next('public');
    expect(seen).toMatchObject({ data: ['public'], completes: 0 });
    unsubscribe();
  });

  it('SU-16 a refresh ahead of time leaves it alone', async () => {
    const { client, sent, clock, refresh } = world();
    const { seen, unsubscribe } = watch(client);
    await clock.advance(840_000);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(sent).toHaveLength(1);
    expect(seen).toMatchObject({ states: [], completes: 0 });
    unsubscribe();
  });

  it.each([
    ['while it runs', undefined],
    ['while it waits', refusal(expired)],
  ])('unsubscribed %s, it is silent, and never connects again', async (_when, error) => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { client, sent } = world({ answers: [promise] });
    const { seen, unsubscribe } = watch(client);
    await settled();
    if (error) sent[0]!.fail(error);
    await settled();
    const before = structuredClone({ ...seen, errors: [] });
    unsubscribe();
    resolve(granted({ generation: 2 }));
    await settled();
    sent[0]!.next('late');
    expect({ ...seen }).toEqual(before);
    expect(sent).toHaveLength(1);
  });

  it('an abort while it runs ends it, as an error', async () => {
    const { client, sent } = world();
    const controller = new AbortController();
    const { seen } = watch(client, undefined, controller.signal);
    await settled();
    controller.abort();
    expect(seen.errors.map(({ cause }) => cause?.name)).toEqual(['AbortError']);
    expect(seen.completes).toBe(0);
    expect(sent[0]!.isCancelled()).toBe(true);
  });

  it('an abort while it waits ends it', async () => {
    const { client, sent } = world({ answers: [never] });
    const controller = new AbortController();
    const { seen } = watch(client, undefined, controller.signal);
    await settled();
    sent[0]!.fail(refusal(expired));
    await settled();
    controller.abort();
    expect(seen.errors.map(({ cause }) => cause?.name)).toEqual(['AbortError']);
  });
});

describe('what remains', () => {
  it('SE-01 no token in the context, in an error or in the input', async () => {
    const { client, sent, serve } = world();
    serve(() => false);
    const error = await caught(client.query('a', { x: 1 }));
    const { context, input } = sent[1]!.op;
    const symbols = Object.getOwnPropertySymbols(context).map((key) => Reflect.get(context, key) as unknown);
    expect(JSON.stringify([context, symbols, input, error, error?.meta, error?.shape, String(error)])).not.toContain(
      'secret',
    );
    expect(symbols).toHaveLength(1);
  });

  it('10,000 operations leave nothing', { timeout: 60_000 }, async () => {
    const { client, serve, browser, session, clock } = world();
    let good = 0;
    // Refused now and then, so that every way through is taken.
    serve(() => ++good % 7 !== 0);
    const listen = vi.spyOn(session, 'subscribe');
    const before = browser.count();
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    for (let i = 0; i < 100; i++) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, n) => {
          if (n % 10 === 0) {
            const { unsubscribe } = watch(client, undefined, signal);
            await settled();
            unsubscribe();
          } else await caught(client.query(`q${n}`, undefined, { signal }));
        }),
      );
      await clock.advance(10_000);
    }
    expect(browser.count()).toEqual(before);
    expect(add.mock.calls.filter(([type]) => type === 'abort')).toHaveLength(10_000);
    expect(remove.mock.calls.length).toBeGreaterThanOrEqual(10_000);
    expect(listen).toHaveBeenCalledTimes(1000);
    // Nobody is told any more.
    const after = vi.fn<() => void>();
    const stop = session.subscribe(after);
    session.signIn(grantOf({ sid: 's9' }));
    stop();
    expect(after).toHaveBeenCalledTimes(1);
    expect(browser.posted.length).toBeLessThan(10_000);
  });
});
