import { QueryClient } from '@tanstack/react-query';
import { describe, expect, it } from 'vitest';
import { authHeaders, isUnavailable } from './refresh-link.ts';
import { followSession } from './session-cache.ts';
import { settled } from './testing/fake-browser.ts';
import { grantOf, refusal } from './testing/fake-server.ts';
import { errorOf, expired, openClient, renewedTokens } from './testing/open-client.ts';
import { granted, never, returning, say } from './testing/open-tab.ts';

const bob = { sid: 's2', name: 'bob' };
const bobSignsIn = { kind: 'signed-in', sessionId: 's2', userId: 'user-bob' };
const isUnauthorized = { data: { code: 'UNAUTHORIZED' } };

type World = ReturnType<typeof openClient>;

/** A page that autosaves on unmount, and a server that refuses calls without a token. */
function openPage(options: Parameters<typeof openClient>[0] = {}) {
  const world = openClient({ answers: [granted(bob)], ...options });
  const saved: Promise<unknown>[] = [];
  world.session.subscribe(() => {
    if (world.session.state.status !== 'signed-in') saved.push(errorOf(world.client.mutation('autosave')));
  });
  const tokens = () => world.sent.map(({ authorization }) => authorization);
  return { ...world, saved, tokens };
}

describe("nothing from Ann's page is sent as Bob", () => {
  it('when it wakes after he signed in elsewhere', async () => {
    const { client, clock, browser, tab, serve, saved, tokens } = openPage();
    serve(() => false, { code: 'access_token_missing' });
    clock.sleep(3_600_000);
    returning(browser, { sessionId: 's2', userId: 'user-bob' });
    const calls = [client.query('a'), client.mutation('b')].map(errorOf);
    tab.show();
    await settled();
    for (const error of await Promise.all([...calls, ...saved])) expect(error).toMatchObject(isUnauthorized);
    expect(saved.length).toBeGreaterThan(0);
    expect(tokens().filter((token) => token !== undefined)).toEqual([]);
    expect(browser.documents).toEqual([undefined]);
  });

  it('when only the response to its own refresh reveals that the cookie is his', async () => {
    const { client, clock, serve, saved, tokens, browser } = openPage({ environment: { storage: null } });
    serve(() => false, { code: 'access_token_missing' });
    clock.sleep(3_600_000);
    for (const error of await Promise.all([client.query('a'), client.mutation('b')].map(errorOf)))
      expect(error).toMatchObject({ ...isUnauthorized, meta: { refresh: 'ended' } });
    expect(saved.length).toBeGreaterThan(0);
    expect(tokens().filter((token) => token !== undefined)).toEqual([]);
    expect(browser.documents).toEqual([undefined]);
  });

  it.each<[string, (world: World) => void]>([
    ['a message', ({ browser }) => (browser.stored.clear(), say(browser, bobSignsIn))],
    ['a sign-in on the same page', ({ session }) => session.signIn(grantOf(bob))],
  ])('when he takes over directly, by %s, while her calls are waiting', async (_how, takeOver) => {
    const page = openPage({ answers: [never] });
    const { client, sent, saved, tokens } = page;
    const call = errorOf(client.mutation('a'));
    await settled();
    const error = refusal(expired);
    sent[0]!.fail(error);
    await settled();
    takeOver(page);
    expect(await call).toBe(error);
    expect(error.meta).toEqual({ refresh: 'ended' });
    await settled();
    expect(saved).toHaveLength(1);
    expect(tokens()).toEqual([`Bearer ${grantOf().accessToken}`, undefined]);
  });

  it('when he takes over between the new token and the second attempt', async () => {
    const { client, sent, session } = openClient();
    const call = errorOf(client.query('a'));
    await settled();
    session.subscribe(() => {
      const { state } = session;
      if (state.status === 'signed-in' && state.session.generation === 2) session.signIn(grantOf(bob));
    });
    sent[0]!.fail(refusal(expired));
    await settled();
    expect(sent.map(({ authorization }) => authorization)).toEqual([`Bearer ${grantOf().accessToken}`, undefined]);
    sent[1]!.fail(refusal({ code: 'access_token_missing' }));
    expect((await call)?.meta).toEqual({ refresh: 'ended' });
  });

  it('when the headers of a batch are created after he took over', async () => {
    const { client, sent, session } = openClient();
    void errorOf(client.query('a'));
    session.signIn(grantOf(bob));
    await settled();
    expect(sent.map(({ authorization }) => authorization)).toEqual([undefined]);
    expect(authHeaders(session)({ opList: sent.map(({ op }) => op) })).toEqual({});
  });

  it('and her late responses end up in a cache that he never sees', async () => {
    const { client, session, sent, browser } = openClient();
    const queryClient = new QueryClient();
    const stop = followSession(queryClient, session, () => {});
    queryClient.setQueryData(['notes'], 'of ann');
    const save = queryClient.getMutationCache().build(queryClient, {
      mutationFn: () => client.mutation('save'),
      onError: () => queryClient.setQueryData(['notes'], 'rolled back, of ann'),
    });
    const saved = errorOf(save.execute(undefined));
    await settled();
    session.signIn(grantOf(bob));
    expect(queryClient.getQueryData(['notes'])).toBeUndefined();
    sent[0]!.fail(refusal({ code: 'session_ended', reason: 'revoked' }));
    await saved;
    // The page is being replaced and will never show Bob.
    expect(queryClient.getQueryData(['notes'])).toBe('rolled back, of ann');
    expect(session.state).toEqual({ status: 'signed-out', reason: 'replaced' });
    expect(browser.documents).toEqual([undefined]);
    stop();
  });

  it('and the end of her session does not end his', async () => {
    const { client, sent, session, browser } = openClient();
    const call = errorOf(client.query('a'));
    await settled();
    session.signIn(grantOf(bob));
    sent[0]!.fail(refusal({ code: 'session_ended', reason: 'revoked' }));
    expect((await call)?.meta).toEqual({ refresh: 'ended' });
    expect(browser.marker()).toMatchObject({ sessionId: 's2', state: 'active' });
  });
});

describe('after a logout', () => {
  it('later calls fail as ended, and carry no token', async () => {
    const { client, serve, sent, session, refresh } = openClient();
    serve(() => false, { code: 'access_token_missing' });
    await session.signOut();
    expect((await errorOf(client.query('a')))?.meta).toEqual({ refresh: 'ended' });
    expect(sent.map(({ authorization }) => authorization)).toEqual([undefined]);
    expect(refresh).not.toHaveBeenCalled();
  });
});

describe('when the server refuses every fresh token', () => {
  it('SF-06 PR-08 a call is retried once, and gets its refusal', async () => {
    const { client, serve, sent, refresh, session } = openClient();
    serve(() => false);
    const error = await errorOf(client.query('a'));
    expect(error?.meta).toMatchObject({ refresh: 'exhausted' });
    expect(error?.data?.code).toBe('UNAUTHORIZED');
    expect(sent).toHaveLength(2);
    expect(session.state).toMatchObject({ status: 'signed-in', stale: true });
    for (let i = 0; i < 10; i++) {
      const later = await errorOf(client.query('b'));
      expect(isUnavailable(later)).toBe(true);
      expect(later?.message).not.toMatch(/reach/);
    }
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SF-06 refreshes follow growing pauses', async () => {
    const { client, serve, clock, refresh } = openClient();
    serve(() => false);
    const at: number[] = [];
    for (let ms = 0; ms < 30_000; ms += 100) {
      const before = refresh.mock.calls.length;
      await errorOf(client.query('a'));
      await clock.advance(100);
      for (let i = before; i < refresh.mock.calls.length; i++) at.push(ms);
    }
    expect(at.length).toBeLessThan(12);
    expect(at.at(-1)! - at.at(-2)!).toBeGreaterThanOrEqual(3900);
  });

  it('everything works again once it accepts tokens', async () => {
    const { client, serve, clock } = openClient();
    serve(() => false);
    await errorOf(client.query('a'));
    serve(renewedTokens);
    expect(await client.query('a')).toBe('a');
    await clock.advance(60_000);
    expect(await client.query('a')).toBe('a');
  });
});
