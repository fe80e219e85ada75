import {
  createTRPCClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  type TRPCClientError,
  type TRPCLink,
} from '@trpc/client';
import { initTRPC, tracked, TRPCError } from '@trpc/server';
import { fetchRequestHandler } from '@trpc/server/adapters/fetch';
import { EventSource } from 'eventsource';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Failure } from '../../shared/failures.ts';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { createSession, type Session } from './session/index.ts';
import { fakeBrowser } from './testing/fake-browser.ts';
import { fakeServer, type User } from './testing/fake-server.ts';

class Refused extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.code);
    this.failure = failure;
  }
}

const refuse = (failure: Failure) => new TRPCError({ code: 'UNAUTHORIZED', cause: new Refused(failure) });

/** A real tRPC server and the real links, without a network between them. */
function makeRouter(server: ReturnType<typeof fakeServer>, effects: string[]) {
  const t = initTRPC.context<{ authorization: string | undefined }>().create({
    errorFormatter: ({ shape, error }) => ({
      ...shape,
      data: { ...shape.data, failure: error.cause instanceof Refused ? error.cause.failure : undefined },
    }),
    sse: { ping: { enabled: false } },
  });
  const guarded = t.procedure.use(({ ctx, next }) => {
    const failure = server.refuses(ctx.authorization);
    if (failure) throw refuse(failure);
    return next();
  });
  return t.router({
    open: t.procedure.query(() => 'open'),
    me: guarded.input(z.string().optional()).query(({ input }) => `me ${input ?? ''}`),
    act: guarded.input(z.string()).mutation(({ input }) => {
      effects.push(input);
      return input;
    }),
    count: guarded.query(async function* ({ ctx }) {
      yield 1;
      server.expire();
      const failure = server.refuses(ctx.authorization);
      if (failure) throw refuse(failure);
      yield 2;
    }),
    /** The token expires after every second event. */
    events: guarded.input(z.object({ lastEventId: z.string().optional() }).optional()).subscription(async function* ({
      input,
      ctx,
    }) {
      const from = Number(input?.lastEventId ?? 0);
      for (let id = from + 1; id <= 5; id++) {
        yield tracked(`${id}`, id);
        if (id % 2 === 0) server.expire();
        const failure = server.refuses(ctx.authorization);
        if (failure) throw refuse(failure);
      }
    }),
  });
}
type Router = ReturnType<typeof makeRouter>;

const sessions: Session<User>[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.dispose();
});

function world({ contextRefuses = false, wrap = (send: typeof fetch): typeof fetch => send } = {}) {
  const server = fakeServer();
  const effects: string[] = [];
  const urls: string[] = [];
  const router = makeRouter(server, effects);
  const send = wrap(async (input, init) => {
    const request = new Request(input, init);
    urls.push(request.url);
    return fetchRequestHandler({
      endpoint: '/trpc',
      req: request,
      router,
      createContext() {
        const authorization = request.headers.get('authorization') ?? undefined;
        const failure = contextRefuses ? server.refuses(authorization) : undefined;
        if (failure) throw refuse(failure);
        return { authorization };
      },
    });
  });
  const session = createSession<User>({
    refresh: server.refresh(),
    logout: server.logout(),
    environment: fakeBrowser().tab().environment,
  });
  sessions.push(session);
  session.signIn(server.logIn('ann'));
  const url = 'http://localhost/trpc';
  const headers = authHeaders(session);
  const ends = {
    httpLink: () => httpLink<Router>({ url, fetch: send, headers }),
    httpBatchLink: (maxItems?: number) =>
      httpBatchLink<Router>({ url, fetch: send, headers, ...(maxItems && { maxItems }) }),
    httpBatchStreamLink: () => httpBatchStreamLink<Router>({ url, fetch: send, headers }),
  };
  const client = (end: TRPCLink<Router>) =>
    createTRPCClient<Router>({
      links: [
        refreshLink({ session }),
        splitLink({
          condition: (op) => op.type === 'subscription',
          true: httpSubscriptionLink({
            url,
            EventSource,
            eventSourceOptions: ({ op }) => ({
              // Called for every connection, so each uses the current token.
              fetch: (input: string | URL, init?: RequestInit) =>
                send(input, {
                  ...init,
                  headers: { ...Object.fromEntries(new Headers(init?.headers)), ...headers({ op }) },
                }),
            }),
          }),
          false: end,
        }),
      ],
    });
  return { server, effects, urls, session, ends, client };
}

const links = ['httpLink', 'httpBatchLink', 'httpBatchStreamLink'] as const;

describe.each(links)('over %s', (name) => {
  it('SF-01 SF-02 MU-01 an expired token goes unnoticed', async () => {
    const { server, effects, ends, client } = world();
    const api = client(ends[name]());
    server.expire();
    const results = await Promise.all([api.me.query('a'), api.me.query('b'), api.act.mutate('c')]);
    expect(results).toEqual(['me a', 'me b', 'c']);
    expect(effects).toEqual(['c']);
    expect(server.seen.refreshes).toBe(1);
  });

  it('BA-02 so does one that createContext refuses', async () => {
    const { server, ends, client } = world({ contextRefuses: true });
    const api = client(ends[name]());
    server.expire();
    expect(await Promise.all([api.me.query('a'), api.open.query()])).toEqual(['me a', 'open']);
    expect(server.seen.refreshes).toBe(1);
  });

  it('BA-12 a response that is not tRPC leaves the session alone', async () => {
    const html = () =>
      Promise.resolve(new Response('<html>', { status: 401, headers: { 'content-type': 'text/html' } }));
    const { server, ends, client, session } = world({ wrap: () => html });
    const error = await client(ends[name]())
      .me.query()
      .catch((cause: unknown) => cause as TRPCClientError<Router>);
    expect(error).toMatchObject({ name: 'TRPCClientError' });
    expect(session.state).toMatchObject({ status: 'signed-in' });
    expect(server.seen.refreshes).toBeLessThan(2);
  });

  it('LO-08 a session ended by the server ends here', async () => {
    const { server, ends, client, session } = world();
    server.revokeAll();
    const error = await client(ends[name]())
      .me.query()
      .catch((cause: unknown) => cause as TRPCClientError<Router>);
    expect(error).toMatchObject({ data: { failure: { code: 'session_ended' } }, meta: { refresh: 'ended' } });
    expect(session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
    expect(server.seen.refreshes).toBe(0);
  });

  it('SE-01 no URL contains a token', async () => {
    const { server, ends, client, urls } = world();
    server.expire();
    await client(ends[name]()).me.query();
    expect(urls.join()).not.toContain('secret');
  });
});

describe('batches', () => {
  it.each(['httpBatchLink', 'httpBatchStreamLink'] as const)('BA-01 retry only the refused calls: %s', async (name) => {
    const { server, ends, client, urls } = world();
    const api = client(ends[name]());
    server.expire();
    await Promise.all([api.me.query('a'), api.open.query(), api.me.query('b')]);
    expect(urls.map((url) => new URL(url).pathname)).toEqual(['/trpc/me,open,me', '/trpc/me,me']);
  });

  it('BA-10 are regrouped within the size limit, and each sent once', async () => {
    const { server, ends, client, urls } = world();
    const api = client(ends.httpBatchLink(2));
    server.expire();
    await Promise.all([api.me.query('a'), api.open.query(), api.me.query('b')]);
    expect(urls.map((url) => new URL(url).pathname).toSorted()).toEqual(
      ['/trpc/me', '/trpc/me,me', '/trpc/me,open'].toSorted(),
    );
  });

  it('BA-08 do not restart a generator that is refused while being read', async () => {
    const { ends, client, urls } = world();
    const read: number[] = [];
    const reading = (async () => {
      for await (const n of await client(ends.httpBatchStreamLink()).count.query()) read.push(n);
    })();
    await expect(reading).rejects.toThrow('access_token_expired');
    expect(read).toEqual([1]);
    expect(urls).toHaveLength(1);
  });

  it('BA-09 reject an aborted call immediately, without disturbing the others', async () => {
    const { ends, client } = world();
    const api = client(ends.httpBatchLink());
    const controller = new AbortController();
    const aborted = api.me.query('a', { signal: controller.signal }).catch((cause: unknown) => cause as Error);
    const other = api.me.query('b');
    controller.abort();
    expect(await aborted).toMatchObject({ cause: { name: 'AbortError' } });
    expect(await other).toBe('me b');
  });
});

describe('event streams', () => {
  const read = (api: ReturnType<ReturnType<typeof world>['client']>) => {
    const seen = { data: [] as number[], errors: [] as unknown[], completes: 0 };
    const { promise, resolve } = Promise.withResolvers<typeof seen>();
    api.events.subscribe(undefined, {
      onData: ({ data }) => seen.data.push(data),
      onError(error) {
        seen.errors.push(error);
        resolve(seen);
      },
      onComplete() {
        seen.completes++;
        resolve(seen);
      },
    });
    return promise;
  };

  it('SU-01 SU-02 deliver every event once, over three expiries', async () => {
    const { server, ends, client, urls } = world();
    server.expire();
    expect(await read(client(ends.httpLink()))).toEqual({ data: [1, 2, 3, 4, 5], errors: [], completes: 1 });
    expect(server.seen.refreshes).toBe(3);
    expect(urls.join()).not.toContain('secret');
  });

  it('SU-14 recover from a 401 that does not come from tRPC', async () => {
    let first = true;
    const { server, ends, client } = world({
      wrap: (send) => async (input, init) => {
        if (!first) return send(input, init);
        first = false;
        return new Response('no', { status: 401 });
      },
    });
    expect(await read(client(ends.httpLink()))).toMatchObject({ data: [1, 2, 3, 4, 5], errors: [] });
    expect(server.seen.refreshes).toBe(3);
  });

  it('LO-08 SU-10 report the end of the session as an error, once', async () => {
    const { server, ends, client, session } = world();
    server.revokeAll();
    const { errors, completes, data } = await read(client(ends.httpLink()));
    expect(errors).toHaveLength(1);
    expect({ completes, data }).toEqual({ completes: 0, data: [] });
    expect(session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
  });
});
