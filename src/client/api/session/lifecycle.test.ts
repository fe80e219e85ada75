import { describe, expect, it, vi } from 'vitest';
import { settled } from '../testing/fake-browser.ts';
import { fakeServer, grantOf, type RefreshOutcome, type User } from '../testing/fake-server.ts';
import { disposedAfterwards, granted, never, openTab } from '../testing/open-tab.ts';
import { createSession } from './index.ts';
import { internalsOf } from './session.ts';

const nothing = { timers: 0, channels: 0, listeners: 0 };

describe('a listener', () => {
  it('MT-09 is not called any more once another one has removed it', () => {
    const { session } = openTab();
    const second = vi.fn<() => void>();
    const stop = { second: () => {} };
    session.subscribe(() => stop.second());
    stop.second = session.subscribe(second);
    session.signIn(grantOf());
    expect(second).not.toHaveBeenCalled();
  });

  it('MT-09 that throws harms neither the others nor the session', async () => {
    const thrown = vi.fn<() => void>();
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException').on('uncaughtException', thrown);
    const { session } = openTab({
      onEvent: () => {
        throw new Error('a bug in the app');
      },
    });
    const later = vi.fn<() => void>();
    const stop = session.subscribe(() => {
      stop();
      throw new Error('a bug in the app');
    });
    session.subscribe(later);
    session.signIn(grantOf());
    await settled();
    process.removeAllListeners('uncaughtException');
    for (const listener of before) process.on('uncaughtException', listener);
    expect(later).toHaveBeenCalledTimes(1);
    expect(thrown).toHaveBeenCalledTimes(2);
  });

  it('sees the same state object until it changes', async () => {
    const { session, refused } = openTab({ answers: [granted({ generation: 1, token: 'secret-kept' })] });
    session.signIn(grantOf());
    const before = session.state;
    expect(session.state).toBe(before);
    await refused();
    expect(session.state).toEqual(before);
  });
});

describe('a page', () => {
  it('LC-04 lets go of everything when it enters the back/forward cache, and takes it up again', async () => {
    const { session, refused, browser, tab, refresh } = openTab({ answers: [never, granted({ generation: 2 })] });
    session.signIn(grantOf());
    const renewal = refused();
    await settled();
    tab.fire('hide');
    expect(await renewal).toMatchObject({ kind: 'unavailable' });
    await settled();
    expect(browser.count()).toEqual({ timers: 0, channels: 0, listeners: 1 });
    tab.fire('show');
    await settled();
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject({ stale: false });
    expect(browser.count()).toMatchObject({ channels: 1 });
  });

  it('SE-01 keeps the token in memory only', async () => {
    const { session, refused, browser } = openTab();
    session.signIn(grantOf());
    await refused();
    expect([...browser.stored.values()].join()).not.toContain('secret');
    expect(JSON.stringify(session.state)).not.toContain('secret');
    expect(JSON.stringify(browser.posted)).not.toContain('secret');
  });
});

describe('dispose', () => {
  it('LC-02 LO-10 leaves nothing', async () => {
    const { session, core, refused, browser, refresh } = openTab({ answers: [never], logout: () => never });
    session.signIn(grantOf());
    const renewal = refused();
    await settled();
    session.dispose();
    session.dispose();
    expect(await renewal).toEqual({ kind: 'disposed' });
    await settled();
    expect(browser.count()).toEqual(nothing);
    expect(core.bearer()).toBeUndefined();
    session.signIn(grantOf({ sid: 's2' }));
    await session.signOut();
    await session.start();
    expect(await refused()).toEqual({ kind: 'disposed' });
    expect(core.needsRenewal()).toBe(false);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(browser.count()).toEqual(nothing);
  });

  it('cancels the scheduled renewal', () => {
    const { session, browser } = openTab();
    session.signIn(grantOf());
    expect(browser.count()).toMatchObject({ timers: 1 });
    session.dispose();
    expect(browser.count()).toEqual(nothing);
  });

  it('settles a logout that is under way', async () => {
    const { session, browser } = openTab({ logout: () => never });
    session.signIn(grantOf());
    const told = session.signOut();
    await settled();
    session.dispose();
    await told;
    expect(browser.count()).toEqual(nothing);
  });
});

describe('without a document', () => {
  it('LC-09 two sessions of one name in one process never exchange anything', async () => {
    const open = vi.spyOn(globalThis, 'BroadcastChannel');
    const server = fakeServer();
    const make = () => disposedAfterwards(createSession<User>({ refresh: server.refresh(), logout: server.logout() }));
    const [a, b] = [make(), make()];
    server.logIn('ann');
    await Promise.all([a.start(), b.start()]);
    expect(server.seen.refreshes).toBe(2);
    await a.signOut();
    // A message would take a few turns of the event loop.
    for (let i = 0; i < 20; i++) await settled();
    expect(b.state.status).toBe('signed-in');
    expect(open).not.toHaveBeenCalled();
    open.mockRestore();
  });

  it('LC-09 nothing is done in the background: no timer is left, and a failed start is not retried', async () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    const clearTimer = vi.spyOn(globalThis, 'clearTimeout');
    const refresh = vi.fn<() => Promise<RefreshOutcome>>(() => Promise.reject(new TypeError('offline')));
    const session = disposedAfterwards(createSession<User>({ refresh, logout: async () => {} }));
    const left = () =>
      setTimer.mock.results.filter(({ value }) => !clearTimer.mock.calls.some(([timer]) => timer === value));
    await session.start();
    expect(left()).toEqual([]);
    session.signIn(grantOf());
    expect(left()).toEqual([]);
    await session.signOut();
    expect(left()).toEqual([]);
    setTimer.mockRestore();
    clearTimer.mockRestore();
  });

  it('LC-09 a call gets its token, and one that waits keeps Node alive', async () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const session = disposedAfterwards(createSession<User>({ refresh: () => promise, logout: async () => {} }));
    const token = session.accessToken();
    expect(setTimer.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([true]);
    setTimer.mockRestore();
    resolve(granted());
    expect(await token).toBe(grantOf().accessToken);
  });

  it('a timeout of Infinity is not one of a millisecond', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const session = disposedAfterwards(
      createSession<User>({ refresh: () => promise, logout: async () => {}, refreshTimeoutMs: Infinity }),
    );
    const start = session.start();
    // Set after the timer that must not fire.
    await new Promise((settle) => setTimeout(settle, 20));
    resolve(granted());
    await start;
    expect(session.state.status).toBe('signed-in');
  });

  it('a sign-in of somebody else ends the session, and loads nothing', () => {
    const session = disposedAfterwards(createSession<User>({ refresh: () => never, logout: async () => {} }));
    session.signIn(grantOf());
    session.signIn(grantOf({ sid: 's2' }));
    expect(session.state).toEqual({ status: 'signed-out', reason: 'replaced' });
    expect(internalsOf(session).bearer()).toBeUndefined();
  });
});
