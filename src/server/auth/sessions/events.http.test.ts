import { setImmediate } from 'node:timers/promises';
import { createTRPCClient, httpSubscriptionLink } from '@trpc/client';
import { EventSource } from 'eventsource';
import { describe, expect, it, vi } from 'vitest';
import { failureOf, type Failure } from '../../../shared/failures.ts';
import type { AppRouter } from '../../router.ts';
import { testWorld, type World } from '../../testing/world.ts';

/** Subscribes like a page. @returns the events one by one */
function listen(world: World, accessToken: string | undefined, lastEventId?: string) {
  const client = createTRPCClient<AppRouter>({
    links: [
      httpSubscriptionLink({
        url: `${world.url}/trpc`,
        EventSource,
        eventSourceOptions: {
          fetch: (url, init) =>
            fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${accessToken}` } }),
        },
      }),
    ],
  });
  type Event = { id: string; username: string } | { failure: Failure | undefined };
  const events: Event[] = [];
  let wake = () => {};
  const note = (event: Event) => {
    events.push(event);
    wake();
  };
  const subscription = client.auth.sessionEvents.subscribe(
    { lastEventId },
    {
      onData: ({ id, data }) => note({ id, username: data.user.username }),
      onError: (error) => note({ failure: failureOf(error) }),
    },
  );
  return {
    async next(): Promise<Event> {
      for (;;) {
        const event = events.shift();
        if (event !== undefined) return event;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    [Symbol.dispose]: () => subscription.unsubscribe(),
  };
}

const rename = (world: World, username: string) => world.sql(`update users set username = '${username}'`);

/** Streams that poll so rarely learn of changes only through notifications. */
const NEVER_LOOK_MS = 24 * 60 * 60_000;

const DAY_MS = 24 * 60 * 60_000;

describe('sessionEvents', () => {
  it('forbids caches to store the stream', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    const controller = new AbortController();
    const { headers } = await fetch(`${world.url}/trpc/auth.sessionEvents`, {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${accessToken}` },
      signal: controller.signal,
    });
    controller.abort();
    expect(headers.get('content-type')).toBe('text/event-stream');
    expect(headers.get('cache-control')).toBe('no-store, no-transform');
  });

  it('sends the user, initially and after each change', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register('ada');
    using stream = listen(world, accessToken);
    expect(await stream.next()).toMatchObject({ username: 'ada' });
    await rename(world, 'lovelace');
    expect(await stream.next()).toMatchObject({ username: 'lovelace' });
  });

  it('resumes without gaps or repetitions', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register('ada');
    using first = listen(world, accessToken);
    const { id } = (await first.next()) as { id: string };
    await rename(world, 'lovelace');
    using second = listen(world, accessToken, id);
    expect(await second.next()).toMatchObject({ username: 'lovelace' });
    await rename(world, 'ada');
    using third = listen(world, accessToken, id);
    await rename(world, 'countess');
    expect(await third.next()).toMatchObject({ username: 'countess' });
  });

  it.each([
    ['logging out', 'revoked'],
    ['reuse', 'reused'],
  ] as const)('ends when the session ends by %s', async (how, reason) => {
    await using world = await testWorld();
    const client = world.client();
    const { accessToken } = await client.register();
    using stream = listen(world, accessToken);
    await stream.next();
    if (how === 'logging out') await client.mutate('auth.logout');
    else await world.sql("update sessions set ended_at = 1, end_reason = 'reused'");
    expect(await stream.next()).toEqual({ failure: { code: 'session_ended', reason } });
  });

  it('ends when its token expires', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    using stream = listen(world, accessToken);
    await stream.next();
    world.clock.advance(15 * 60_000);
    expect(await stream.next()).toEqual({ failure: { code: 'access_token_expired' } });
  });

  // Regression: a timer of more than 2^31 - 1 ms fires at once, and so the stream read the database in a loop.
  it('waits for a token that lasts longer than a timer can', async () => {
    await using world = await testWorld({ accessTokenLifetimeMs: 30 * DAY_MS, refreshTokenLifetimeMs: 30 * DAY_MS });
    const { accessToken } = await world.client().register('ada');
    using timers = vi.spyOn(globalThis, 'setTimeout');
    using stream = listen(world, accessToken);
    await stream.next();
    await rename(world, 'lovelace');
    // By then the stream has waited.
    await stream.next();
    expect(Math.max(...timers.mock.calls.map(([, ms = 0]) => ms))).toBe(2 ** 31 - 1);
  });

  it('refuses invalid tokens and too many streams', async () => {
    await using world = await testWorld();
    using stranger = listen(world, 'a.b.c');
    expect(await stranger.next()).toEqual({ failure: { code: 'access_token_invalid' } });
    const { accessToken } = await world.client().register('ada');
    const streams = Array.from({ length: 10 }, () => listen(world, accessToken));
    for (const stream of streams) expect(await stream.next()).toMatchObject({ username: 'ada' });
    using eleventh = listen(world, accessToken);
    expect(await eleventh.next()).toEqual({ failure: { code: 'rate_limited', retryAfter: 5 } });
    for (const stream of streams) stream[Symbol.dispose]();
    // The server notices a disconnect only when the connection closes.
    for (;;) {
      using again = listen(world, accessToken);
      if ('username' in (await again.next())) break;
    }
  });
});

describe('a notification', () => {
  it.each<[string, string, (world: World, client: ReturnType<World['client']>) => Promise<unknown>]>([
    ['logging out', 'revoked', (_world, client) => client.mutate('auth.logout')],
    [
      'logging in again',
      'revoked',
      (_world, client) =>
        client.mutate('auth.login', { email: 'ada@example.com', password: 'a good password for ada' }),
    ],
    ['registering somebody else', 'revoked', (_world, client) => client.register('grace')],
    [
      'the reuse of its refresh token',
      'reused',
      async ({ clock }, client) => {
        const stolen = client.cookie;
        for (let rotations = 0; rotations < 2; rotations += 1) {
          clock.advance(2 * 60_000);
          await client.mutate('auth.refresh');
          await client.query('auth.me');
        }
        client.cookie = stolen;
        await client.mutate('auth.refresh');
      },
    ],
  ])('ends the stream immediately when the session ends by %s', async (_how, reason, end) => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const client = world.client();
    const { accessToken } = await client.register('ada');
    using stream = listen(world, accessToken);
    await stream.next();
    await end(world, client);
    expect(await stream.next()).toEqual({ failure: { code: 'session_ended', reason } });
  });

  it('ends every stream immediately when the server drains', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const { accessToken } = await world.client().register();
    // Not with the tRPC client, which would reconnect instead of reporting this failure.
    const { body } = await fetch(`${world.url}/trpc/auth.sessionEvents`, {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${accessToken}` },
    });
    let text = '';
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes('"user"')) world.services.drain();
    }
    expect(text).toContain('"failure":{"code":"overloaded","retryAfter":5}');
  });

  it('makes only the streams of its session or user query the database, and nothing else does', async () => {
    await using world = await testWorld({}, NEVER_LOOK_MS);
    const { accessToken, session, user } = await world.client().register('ada');
    const { notifications, sessions } = world.services;
    using stream = listen(world, accessToken);
    await stream.next();
    const asking = vi.spyOn(sessions, 'authenticate');
    notifications.publish({ sessionId: 'of somebody else' });
    notifications.publish({ userId: 'somebody else' });
    // A stream that had been woken would have asked by now, and not together with the changes below.
    await setImmediate();
    expect(asking).not.toHaveBeenCalled();
    for (const [change, name] of [
      [{ userId: user.id }, 'lovelace'],
      [{ sessionId: session.id }, 'countess'],
    ] as const) {
      await rename(world, name);
      notifications.publish(change);
      expect(await stream.next()).toMatchObject({ username: name });
    }
    expect(asking).toHaveBeenCalledTimes(2);
  });

  it('is not needed when a token expires', async () => {
    await using world = await testWorld({ accessTokenLifetimeMs: 100 }, NEVER_LOOK_MS);
    const { accessToken } = await world.client().register();
    using stream = listen(world, accessToken);
    await stream.next();
    world.clock.advance(100);
    expect(await stream.next()).toEqual({ failure: { code: 'access_token_expired' } });
  });
});
