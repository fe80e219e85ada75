import {
  createTRPCClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  type Operation,
  type TRPCClientError,
} from '@trpc/client';
import { EventSource } from 'eventsource';
import { describe, expect, test } from 'vitest';
import type { AppRouter } from '../../server/router.ts';
import { testWorld, type World } from '../../server/testing/world.ts';
import type { User } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { createSession, type RefreshOutcome } from './session.ts';

/*
 * Our link, each of tRPC's links, and the server of the product, over HTTP. What a browser would add, a jar for the cookie
 * and other tabs, is played here; e2e/ has the real ones.
 */

const COOKIE = '__Host-refreshToken';
const MINUTE = 60_000;
const links = ['httpLink', 'httpBatchLink', 'httpBatchStreamLink'] as const;

/** A browser's cookies: the answer that arrives last decides. */
function cookieJar() {
  let cookie: string | undefined;
  return {
    /** Called when an answer arrives; what it answers is what the page gets to see. */
    onAnswer: async (_path: string, answer: Response): Promise<Response> => answer,
    /** What the page has asked for so far: paths, and what they answered. */
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

let names = 0;

/** A page that is open in a browser with this jar, and hears nothing of its other tabs. */
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
  const session = createSession({
    name: `tab ${++names}`,
    // The time of the page is that of the server, where a test does not make it stand still.
    environment: { now: () => world.clock.now, monotonic: () => 0, storage: null },
    proactive: false,
    cooldown: { baseMs: 1, maxMs: 1 },
    refresh: ({ signal }) =>
      plain.auth.refresh.mutate(undefined, { signal }).then(
        (grant): RefreshOutcome => ({ kind: 'granted', grant }),
        (cause: unknown): RefreshOutcome => {
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
  const tokenFor = (op: Operation) => headers({ op }) as Record<string, string>;
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
              fetch: (input, init) => send(input, { ...init, headers: { ...init.headers, ...tokenFor(op) } }),
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
      session.signIn(await plain.auth.register.mutate(input));
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
  test('an expired token that the page knows of is renewed before anything is sent', async () => {
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

  test('a refusal that the page could not foresee is mended, with one refresh', async () => {
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

  test('a session that was ended on the server ends here, without a refresh', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage(world, jar);
    const { email, password } = await page.register('ada');
    // A login in its place, with the same cookie, by somebody who is not this page.
    await world.client().mutate('auth.login', { email, password }, { headers: { cookie: `${COOKIE}=${jar.cookie}` } });
    const error = await failed(page.client(name).auth.me.query());
    expect(error).toMatchObject({ data: { failure: { code: 'session_ended' } }, meta: { refresh: 'ended' } });
    expect(page.session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
    expect(refreshes(jar)).toBe(0);
  });

  test('a refresh whose answer is lost costs nothing', async () => {
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

describe('two tabs that hear nothing of each other', () => {
  test('refresh at once, are answered in reverse order, and both go on', async () => {
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

test('a logout during a refresh wins, though its answer and its cookie arrive later', async () => {
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
  // Loaded anew, with the cookie that came too late.
  using again = openPage(world, jar);
  await again.session.start();
  expect(again.session.state).toMatchObject({ status: 'signed-out', reason: 'revoked' });
});

describe('the event stream', () => {
  /** What a page hears, with a way to wait for it. */
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

  test('ends with its token, is resumed with the next, and tells each change once', async () => {
    await using world = await testWorld();
    const jar = cookieJar();
    using page = openPage(world, jar);
    await page.register('ada');
    const heard = listen(page);
    await heard.until(() => heard.users.length === 1);
    for (const username of ['ada.l', 'lovelace']) {
      // While it is down, so that only resuming can find it.
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

  test('ends with the session, and says why', async () => {
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
