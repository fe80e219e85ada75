import {
  createTRPCClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  type TRPCClientError,
} from '@trpc/client';
import { EventSource } from 'eventsource';
import { describe, expect, it } from 'vitest';
import type { AppRouter } from '../../server/router.ts';
import { testWorld, type World } from '../../server/testing/world.ts';
import type { User } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { createSession, type RefreshOutcome } from './session/index.ts';

/*
 * Our link, each of tRPC's links and the server of the product, over HTTP. The cookie jar of the browser is simulated; e2e/
 * has the real one.
 */

const COOKIE = '__Host-refreshToken';
const MINUTE = 60_000;
const links = ['httpLink', 'httpBatchLink', 'httpBatchStreamLink'] as const;

/** The cookies of a browser: the last response to arrive wins. */
function cookieJar() {
  let cookie: string | undefined;
  return {
    /** Intercepts each response before the page sees it. */
    onAnswer: async (_path: string, answer: Response): Promise<Response> => answer,
    /** Path and status of each request so far. */
    asked: [] as string[],
    get cookie() {
      return cookie;
    },
    onStored: () => {},
    store(answer: Response) {
      const value = answer.headers.getSetCookie().find((line) => line.startsWith(`${COOKIE}=`));
      if (value === undefined) return;
      cookie = new RegExp(`^${COOKIE}=([^;]*)`).exec(value)?.[1] || undefined;
      this.onStored();
    },
  };
}
type Jar = ReturnType<typeof cookieJar>;

/** A page in a browser with this jar, without messages from other tabs. */
function openPage(world: Pick<World, 'url' | 'clock'>, jar: Jar) {
  const url = `${world.url}/trpc`;
  const send: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    if (jar.cookie !== undefined) headers.set('cookie', `${COOKIE}=${jar.cookie}`);
    const path = new URL(input instanceof Request ? input.url : input).pathname.replace('/trpc/', '');
    const response = await fetch(input, { ...init, headers });
    jar.asked.push(`${path} ${response.status}`);
    const answer = await jar.onAnswer(path, response);
    jar.store(answer);
    return answer;
  };
  const plain = createTRPCClient<AppRouter>({ links: [httpLink({ url, fetch: send })] });
  const session = createSession<User>({
    // The clock of the server, unless a test gives the page its own.
    environment: { now: () => world.clock.now, monotonic: () => 0 },
    proactive: false,
    cooldown: { baseMs: 1, maxMs: 1 },
    refresh: ({ signal }) =>
      plain.auth.refresh.mutate(undefined, { signal }).then(
        (grant): RefreshOutcome<User> => ({ kind: 'granted', grant }),
        (cause: unknown): RefreshOutcome<User> => {
          const failure = failureOf(cause);
          return failure?.code === 'session_ended'
            ? { kind: 'ended', reason: failure.reason }
            : { kind: 'unavailable', cause };
        },
      ),
    logout: async ({ signal }) => void (await plain.auth.logout.mutate(undefined, { signal })),
  });
  const headers = authHeaders(session);
  const ends = {
    httpLink: httpLink<AppRouter>({ url, fetch: send, headers }),
    httpBatchLink: httpBatchLink<AppRouter>({ url, fetch: send, headers }),
    httpBatchStreamLink: httpBatchStreamLink<AppRouter>({ url, fetch: send, headers }),
  };
  const client = (end: (typeof links)[number]) =>
    createTRPCClient<AppRouter>({
      links: [
        refreshLink({ session }),
        splitLink({
          condition: (op) => op.type === 'subscription',
          true: httpSubscriptionLink({
            url,
            EventSource,
            eventSourceOptions: ({ op }) => ({
              fetch: (input, init) => send(input, { ...init, headers: { ...init.headers, ...headers({ op }) } }),
            }),
          }),
          false: ends[end],
        }),
      ],
    });
  return {
    session,
    client,
    async register(username: string) {
      const input = { username, email: `${username}@example.com`, password: `a good password for ${username}` };
      const grant = await plain.auth.register.mutate(input);
      if (grant === null) throw new Error('This server registers by mail');
      session.signIn(grant);
      return input;
    },
    [Symbol.dispose]: () => session.dispose(),
  };
}

const refreshes = ({ asked }: Jar) => asked.filter((what) => what.startsWith('auth.refresh')).length;
const failed = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (cause: unknown) => cause as TRPCClientError<AppRouter>,
  );

describe.each(links)('over %s', (name) => {
  it('renews a token that the page knows has expired before sending anything', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage(world, jar);
    await page.register('ada');
    const api = page.client(name);
    for (let expiries = 1; expiries <= 3; expiries++) {
      world.clock.advance(16 * MINUTE);
      const people = await Promise.all([api.auth.me.query(), api.auth.me.query(), api.auth.me.query()]);
      expect(people.map(({ username }) => username)).toEqual(['ada', 'ada', 'ada']);
      expect(refreshes(jar)).toBe(expiries);
    }
    expect(jar.asked.filter((what) => what.endsWith(' 401'))).toEqual([]);
    expect(page.session.state).toMatchObject({ session: { generation: 4 } });
  });

  it('recovers from an unforeseeable refusal with one refresh', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage({ ...world, clock: { ...world.clock } }, jar);
    await page.register('ada');
    world.clock.advance(16 * MINUTE);
    const api = page.client(name);
    const people = await Promise.all([api.auth.me.query(), api.auth.me.query(), api.auth.me.query()]);
    expect(people.map(({ username }) => username)).toEqual(['ada', 'ada', 'ada']);
    expect(refreshes(jar)).toBe(1);
  });

  it('ends a session that the server has ended, without a refresh', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage(world, jar);
    const { email, password } = await page.register('ada');
    // A login elsewhere with the same cookie replaces it.
    await world.client().mutate('auth.login', { email, password }, { headers: { cookie: `${COOKIE}=${jar.cookie}` } });
    const error = await failed(page.client(name).auth.me.query());
    expect(error).toMatchObject({ data: { failure: { code: 'session_ended' } }, meta: { refresh: 'ended' } });
    expect(page.session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
    expect(refreshes(jar)).toBe(0);
  });

  it('loses nothing when the response to a refresh is lost', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage(world, jar);
    await page.register('ada');
    world.clock.advance(16 * MINUTE);
    const arrives = jar.onAnswer;
    jar.onAnswer = async (path, answer) => {
      if (path === 'auth.refresh') throw new TypeError('The connection was closed.');
      return answer;
    };
    const api = page.client(name);
    for (let lost = 0; lost < 3; lost++) {
      const error = await failed(api.auth.me.query());
      expect(error).toMatchObject({ meta: { refresh: 'unavailable' }, data: undefined });
      world.clock.advance(60 * MINUTE);
    }
    jar.onAnswer = arrives;
    expect(await api.auth.me.query()).toMatchObject({ username: 'ada' });
    expect(refreshes(jar)).toBe(4);
    expect(page.session.state).toMatchObject({ session: { generation: 2 } });
  });
});

describe('two tabs', () => {
  it('refresh concurrently, get responses in reverse order, and both stay signed in', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using one = openPage(world, jar);
    await one.register('ada');
    using two = openPage(world, jar);
    await two.session.start();
    for (let expiries = 0; expiries < 3; expiries++) {
      world.clock.advance(16 * MINUTE);
      const arrived: (() => void)[] = [];
      const both = Promise.withResolvers<void>();
      jar.onAnswer = async (path, answer) => {
        if (path !== 'auth.refresh') return answer;
        const { promise, resolve } = Promise.withResolvers<void>();
        if (arrived.push(resolve) === 2) both.resolve();
        await promise;
        return answer;
      };
      const calls = [one, two].map((page) => page.client('httpBatchLink').auth.me.query());
      await both.promise;
      arrived[1]!();
      await Promise.race(calls);
      arrived[0]!();
      expect(await Promise.all(calls)).toMatchObject([{ username: 'ada' }, { username: 'ada' }]);
    }
  });
});

describe('a logout', () => {
  it('wins over a refresh whose response and cookie arrive later', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage(world, jar);
    await page.register('ada');
    world.clock.advance(16 * MINUTE);
    const asked = Promise.withResolvers<void>();
    const late = Promise.withResolvers<void>();
    jar.onAnswer = async (path, answer) => {
      if (path !== 'auth.refresh') return answer;
      asked.resolve();
      await late.promise;
      return answer;
    };
    const error = failed(page.client('httpBatchLink').auth.me.query());
    await asked.promise;
    await page.session.signOut();
    expect(page.session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    expect(await error).toMatchObject({ name: 'TRPCClientError' });
    expect(jar.cookie).toBeUndefined();
    const stored = new Promise<void>((resolve) => (jar.onStored = resolve));
    late.resolve();
    await stored;
    // A new document, with the late cookie.
    using again = openPage(world, jar);
    await again.session.start();
    expect(again.session.state).toMatchObject({ status: 'signed-out', reason: 'revoked' });
  });
});

describe('the event stream', () => {
  /** Records what a page receives. */
  function listen(page: ReturnType<typeof openPage>) {
    const users: User[] = [];
    const ends: unknown[] = [];
    let wake = () => {};
    const subscription = page.client('httpBatchLink').auth.sessionEvents.subscribe(
      {},
      {
        onData: ({ data }) => {
          users.push(data.user);
          wake();
        },
        onError: (error) => {
          ends.push(error);
          wake();
        },
        onComplete: () => {
          ends.push('complete');
          wake();
        },
      },
    );
    return {
      users,
      ends,
      async until(done: () => boolean) {
        while (!done()) await new Promise<void>((resolve) => (wake = resolve));
      },
      stop: () => subscription.unsubscribe(),
    };
  }

  const rename = (world: World, username: string) =>
    world.services.db.$client.prepare('update users set username = ?').run(username);

  it('ends with its token, resumes with the next, and reports each change once', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage(world, jar);
    await page.register('ada');
    const heard = listen(page);
    await heard.until(() => heard.users.length === 1);
    for (const username of ['ada.l', 'lovelace']) {
      // While the stream is down, so that only resuming can deliver it.
      jar.onAnswer = async (path, answer) => {
        if (path === 'auth.refresh') rename(world, username);
        return answer;
      };
      world.clock.advance(16 * MINUTE);
      await heard.until(() => heard.users.at(-1)?.username === username);
    }
    expect(heard.users.map(({ username }) => username)).toEqual(['ada', 'ada.l', 'lovelace']);
    expect(heard.ends).toEqual([]);
    expect(refreshes(jar)).toBe(2);
    heard.stop();
  });

  it('ends with the session, and reports why', async () => {
    await using world = await testWorld();
    using page = openPage(world, cookieJar());
    await page.register('ada');
    const heard = listen(page);
    await heard.until(() => heard.users.length === 1);
    world.services.db.$client.prepare(`update sessions set ended_at = 1, end_reason = 'reused'`).run();
    await heard.until(() => heard.ends.length === 1);
    expect(page.session.state).toEqual({ status: 'signed-out', reason: 'reused' });
    expect(heard.ends).toMatchObject([{ data: { failure: { code: 'session_ended', reason: 'reused' } } }]);
  });
});
