import { QueryClient, QueryObserver } from '@tanstack/react-query';
import { describe, expect, it, vi } from 'vitest';
import { followSession } from './session-cache.ts';
import { settled } from './testing/fake-browser.ts';
import { grantOf, person } from './testing/fake-server.ts';
import { openClient, renewedTokens } from './testing/open-client.ts';
import { granted, openTab } from './testing/open-tab.ts';

const newCache = () => new QueryClient({ defaultOptions: { queries: { retry: false, networkMode: 'always' } } });

describe('the query cache', () => {
  it('is cleared on sign-out', async () => {
    const { session } = openTab();
    const queryClient = newCache();
    const stop = followSession(queryClient, session, () => {});
    session.signIn(grantOf());
    queryClient.setQueryData(['notes'], 'of ann');
    await session.signOut();
    expect(queryClient.getQueryCache().getAll()).toEqual([]);
    stop();
  });

  it('refetches what failed as unavailable once refreshing works again', async () => {
    const { client, serve, clock, session, sent } = openClient({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    serve(renewedTokens);
    const queryClient = newCache();
    const stop = followSession(queryClient, session, () => {});
    const observe = (path: string, enabled = true) =>
      new QueryObserver(queryClient, { queryKey: [path], enabled, queryFn: () => client.query(path) });
    const shown = observe('shown');
    const unsubscribe = shown.subscribe(() => {});
    await settled();
    expect(shown.getCurrentResult()).toMatchObject({ status: 'error', error: { meta: { refresh: 'unavailable' } } });
    await clock.advance(1000);
    await settled();
    expect(shown.getCurrentResult()).toMatchObject({ status: 'success', data: 'shown' });
    expect(sent).toHaveLength(2);
    unsubscribe();
    stop();
    queryClient.clear();
  });

  it('leaves alone what failed for another reason', async () => {
    const { client, serve, session, refused } = openClient();
    serve(() => false, { code: 'invalid_credentials' });
    const queryClient = newCache();
    const stop = followSession(queryClient, session, () => {});
    const queryFn = vi.fn<() => Promise<unknown>>(() => client.query('a'));
    const unsubscribe = new QueryObserver(queryClient, { queryKey: ['a'], queryFn }).subscribe(() => {});
    await settled();
    await refused();
    await settled();
    expect(queryFn).toHaveBeenCalledTimes(1);
    unsubscribe();
    stop();
    queryClient.clear();
  });

  it('is notified when the user has changed, and of nothing else', async () => {
    const { session, refused } = openTab();
    const onUser = vi.fn<(user: unknown) => void>();
    const stop = followSession(newCache(), session, onUser);
    session.signIn(grantOf());
    await refused();
    expect(onUser).not.toHaveBeenCalled();
    const user = { ...person('ann'), username: 'anna' };
    session.userChanged(user);
    expect(onUser.mock.calls).toEqual([[user]]);
    stop();
  });
});
