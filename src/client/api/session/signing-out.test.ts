import { describe, expect, it, vi } from 'vitest';
import { fakeBrowser, settled } from '../testing/fake-browser.ts';
import { grantOf, person, type RefreshOutcome, type User } from '../testing/fake-server.ts';
import { granted, MINUTE_MS, never, openTab, returning, say } from '../testing/open-tab.ts';
import type { SessionOptions } from './types.ts';

const offline = async () => {
  throw new TypeError('offline');
};

describe('signIn', () => {
  it('refuses what is not a grant, without quoting it', () => {
    const { session } = openTab();
    expect(() => session.signIn({ accessToken: 'secret' } as never)).toThrow(TypeError);
    expect(() => session.signIn({ accessToken: 'secret' } as never)).not.toThrow(/secret/);
    expect(() => session.signIn(null as never)).toThrow(TypeError);
    expect(session.state.status).toBe('unknown');
  });

  it.each(['active', 'ended', 'logout-pending'])('works on a fresh page whose marker says %s', async (state) => {
    const browser = returning(fakeBrowser(), { state });
    const { session, logout } = openTab({ browser, answers: [never], logout: vi.fn<() => Promise<void>>(() => never) });
    void session.start();
    await settled();
    session.signIn(grantOf({ sid: 's2', name: 'bob' }));
    await settled();
    expect(session.state).toMatchObject({ status: 'signed-in', user: person('bob') });
    expect(browser.marker()).toMatchObject({ sessionId: 's2', userId: 'user-bob', state: 'active' });
    expect(browser.documents).toEqual([]);
    await browser.clock.advance(MINUTE_MS);
    expect(logout).not.toHaveBeenCalled();
  });

  it('during a refresh is not undone by its answer, and has its renewal scheduled', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { session, clock } = openTab({ browser: returning(), answers: [promise] });
    void session.start();
    session.signIn(grantOf({ sid: 's2', name: 'bob' }));
    await settled();
    expect(clock.delays()).toEqual([14 * MINUTE_MS]);
    resolve(granted({ generation: 2 }));
    await settled();
    expect(session.state).toMatchObject({ user: person('bob') });
  });
});

describe('signOut', () => {
  it('LO-04 signs out at once, and tells the server without a refresh', async () => {
    const { session, refused, refresh, logout, listener, browser, bearer } = openTab();
    session.signIn(grantOf());
    await refused();
    refresh.mockClear();
    const told = session.signOut();
    expect(session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    expect(bearer()).toBeUndefined();
    expect(browser.marker()).toMatchObject({ state: 'logout-pending' });
    expect(listener).toHaveBeenCalled();
    await told;
    expect(logout).toHaveBeenCalledTimes(1);
    expect(refresh).not.toHaveBeenCalled();
    expect(browser.marker()).toMatchObject({ state: 'ended' });
    expect(browser.documents).toEqual([]);
  });

  it('LO-05 tells the server and the page once if called twice', async () => {
    const { session, logout, listener } = openTab();
    session.signIn(grantOf());
    listener.mockClear();
    await Promise.all([session.signOut(), session.signOut()]);
    await session.signOut();
    expect(logout).toHaveBeenCalledTimes(1);
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('LO-03 without a network is remembered over a reload, forbids the silent sign-in, and is sent when possible', async () => {
    const browser = fakeBrowser();
    const before = openTab({ browser, logout: offline });
    before.session.signIn(grantOf());
    await before.session.signOut();
    before.session.dispose();
    expect(browser.marker()).toMatchObject({ state: 'logout-pending' });

    const after = openTab({ browser });
    after.logout.mockRejectedValueOnce(new TypeError('offline'));
    await after.session.start();
    await settled();
    expect(after.status()).toBe('signed-out');
    expect(after.logout).toHaveBeenCalledTimes(1);
    after.tab.fire('online');
    await settled();
    expect(after.logout).toHaveBeenCalledTimes(2);
    expect(after.refresh).not.toHaveBeenCalled();
    expect(browser.marker()).toMatchObject({ state: 'ended' });
    await browser.clock.advance(MINUTE_MS);
    expect(after.logout).toHaveBeenCalledTimes(2);
  });

  it('LO-03 LO-05 is not sent again once another tab has told the server', async () => {
    const browser = fakeBrowser();
    const first = openTab({ browser });
    first.logout.mockRejectedValueOnce(new TypeError('offline'));
    first.session.signIn(grantOf());
    await first.session.signOut();
    const second = openTab({ browser });
    await second.session.start();
    await settled();
    expect(second.logout).toHaveBeenCalledTimes(1);
    await browser.clock.advance(MINUTE_MS);
    expect(first.logout).toHaveBeenCalledTimes(1);
  });

  it('LO-03 of a tab that is gone is sent by another that is looked at', async () => {
    const browser = fakeBrowser();
    const gone = openTab({ browser, logout: offline });
    const other = openTab({ browser });
    gone.session.signIn(grantOf());
    other.session.signIn(grantOf());
    await gone.session.signOut();
    gone.session.dispose();
    await settled();
    expect(other.logout).not.toHaveBeenCalled();
    other.tab.show();
    await settled();
    expect(other.logout).toHaveBeenCalledTimes(1);
    expect(browser.marker()).toMatchObject({ state: 'ended' });
  });

  it('LO-03 without storage is sent again as long as the page lives', async () => {
    const { session, logout, clock } = openTab({ environment: { storage: null } });
    logout.mockRejectedValueOnce(new TypeError('offline'));
    session.signIn(grantOf());
    await session.signOut();
    await clock.advance(999);
    expect(logout).toHaveBeenCalledTimes(1);
    await clock.advance(MINUTE_MS);
    expect(logout).toHaveBeenCalledTimes(2);
  });

  it.each([
    ['the marker', (browser: ReturnType<typeof fakeBrowser>) => void returning(browser, { sessionId: 's2' })],
    [
      'a message',
      (browser: ReturnType<typeof fakeBrowser>) =>
        say(browser, { kind: 'signed-in', sessionId: 's2', userId: 'user-bob' }),
    ],
  ])('that could not be sent never ends the newer session that %s tells of', async (_how, signInElsewhere) => {
    const { session, browser, logout, clock, tab } = openTab();
    logout.mockRejectedValueOnce(new TypeError('offline'));
    session.signIn(grantOf());
    await session.signOut();
    signInElsewhere(browser);
    await settled();
    tab.fire('online');
    await clock.advance(MINUTE_MS);
    expect(logout).toHaveBeenCalledTimes(1);
  });

  it('that is under way is aborted by a sign-in', async () => {
    const { session, logout, browser } = openTab();
    logout.mockReturnValueOnce(never);
    session.signIn(grantOf());
    const told = session.signOut();
    await settled();
    session.signIn(grantOf({ sid: 's2' }));
    await told;
    expect(logout.mock.calls[0]![0].signal.aborted).toBe(true);
    await browser.clock.advance(MINUTE_MS);
    expect(logout).toHaveBeenCalledTimes(1);
    expect(browser.marker()).toMatchObject({ sessionId: 's2', state: 'active' });
  });

  it('that a reload has taken over is aborted when somebody signs in elsewhere', async () => {
    const browser = returning(fakeBrowser(), { state: 'logout-pending' });
    const logout = vi.fn<SessionOptions<User>['logout']>(() => never);
    const { session } = openTab({ browser, logout });
    await session.start();
    say(browser, { kind: 'signed-in', sessionId: 's2', userId: 'user-bob' });
    await settled();
    expect(logout.mock.calls.map(([{ signal }]) => signal.aborted)).toEqual([true]);
  });

  it('that hangs is given up after ten seconds', async () => {
    const { session, clock } = openTab({ logout: () => never });
    session.signIn(grantOf());
    const told = session.signOut();
    await clock.advance(10_000);
    await told;
    expect(session.state.status).toBe('signed-out');
  });

  it('does not log out somebody who has signed in elsewhere since', async () => {
    const { session, browser, logout } = openTab();
    session.signIn(grantOf());
    returning(browser, { sessionId: 's2', userId: 'user-bob' });
    await session.signOut();
    expect(logout).not.toHaveBeenCalled();
    expect(session.state.status).toBe('signed-out');
    expect(browser.marker()).toMatchObject({ sessionId: 's2', state: 'active' });
  });

  it('on a page that does not know yet who is signed in forbids the silent sign-in', async () => {
    const logout = vi.fn<SessionOptions<User>['logout']>(offline);
    const { session, browser } = openTab({ browser: returning(), answers: [granted()], logout });
    void session.start();
    await session.signOut();
    await settled();
    expect(session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    expect(browser.marker()).toMatchObject({ sessionId: 's1', state: 'logout-pending' });
  });
});

describe('ended', () => {
  it('LO-08 MT-10 holds in every tab, if it is about the session of the page', async () => {
    const browser = fakeBrowser();
    const a = openTab({ browser });
    const b = openTab({ browser, answers: [granted()] });
    a.session.signIn(grantOf());
    b.session.signIn(grantOf());
    a.session.ended('revoked', 'another');
    expect(a.status()).toBe('signed-in');
    a.session.ended('revoked', 's1');
    a.session.ended('revoked', 's1');
    await settled();
    for (const { session, listener } of [a, b]) {
      expect(session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
      expect(listener).toHaveBeenCalledTimes(2);
    }
    expect(browser.marker()).toMatchObject({ state: 'ended' });
  });
});

describe('userChanged', () => {
  it('changes the state if it is about the person signed in', () => {
    const { session } = openTab();
    session.signIn(grantOf());
    const user = { ...person('ann'), username: 'anna' };
    session.userChanged(user);
    session.userChanged(person('bob'));
    expect(session.state).toMatchObject({ user });
    const { state } = session;
    session.userChanged({ ...user });
    expect(session.state).toBe(state);
  });
});
