import { describe, expect, it } from 'vitest';
import { fakeBrowser, settled } from '../testing/fake-browser.ts';
import { fakeServer, grantOf, person, type RefreshOutcome } from '../testing/fake-server.ts';
import { granted, never, openTab, returning, say } from '../testing/open-tab.ts';

const signedInElsewhere = (sessionId = 's2', userId = 'user-bob') => ({ kind: 'signed-in', sessionId, userId });

describe('several tabs', () => {
  it.each([2, 5])(
    'MT-01 MT-03 MT-04 MT-08 %i of them, woken together, make at most one refresh each',
    async (count) => {
      const browser = fakeBrowser();
      const server = fakeServer();
      const waiting: (() => void)[] = [];
      const slow = () => new Promise<void>((resolve) => waiting.push(resolve));
      server.logIn('ann');
      const tabs = Array.from({ length: count }, () =>
        openTab({ browser: returning(browser), refresh: server.refresh(slow) }),
      );
      const starts = tabs.map(({ session }) => session.start());
      // Requests in order, answers in reverse.
      await settled();
      for (const arrive of waiting.splice(0)) arrive();
      await settled();
      for (const arrive of waiting.splice(0).toReversed()) arrive();
      await Promise.all(starts);
      expect(tabs.map(({ status }) => status())).toEqual(tabs.map(() => 'signed-in'));
      expect(server.seen).toMatchObject({ refreshes: count, reuses: 0 });
    },
  );

  it.each([
    [
      'cannot be opened',
      () => {
        throw new Error('denied');
      },
    ],
    [
      'throws on every use',
      () => ({
        post: () => {
          throw new Error('denied');
        },
        close: () => {
          throw new Error('denied');
        },
      }),
    ],
  ])('MT-13 work where the channel %s', async (_how, openChannel) => {
    const { session, refused, tab } = openTab({ environment: { openChannel } });
    session.signIn(grantOf());
    expect(await refused()).toEqual({ kind: 'ready' });
    tab.fire('hide');
    tab.fire('show');
    await session.signOut();
    session.dispose();
    expect(session.state.status).toBe('signed-out');
  });

  it('MT-10 are all signed out by a logout in one, and a refresh in flight is dropped', async () => {
    const browser = fakeBrowser();
    const a = openTab({ browser });
    const b = openTab({ browser, answers: [never] });
    a.session.signIn(grantOf());
    b.session.signIn(grantOf());
    const renewal = b.refused();
    await settled();
    void a.session.signOut();
    await settled();
    expect(b.session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    expect(await renewal).toEqual({ kind: 'ended' });
    expect(b.refresh.mock.calls[0]![0].signal.aborted).toBe(true);
    expect(a.logout).toHaveBeenCalledTimes(1);
    expect(b.logout).not.toHaveBeenCalled();
    expect(browser.documents).toEqual([]);
  });

  it('send each other no token', async () => {
    const { session, refused, browser } = openTab();
    session.signIn(grantOf());
    await refused();
    await session.signOut();
    expect(browser.posted).toEqual([
      { v: 1, kind: 'signed-in', sessionId: 's1', userId: 'user-ann' },
      { v: 1, kind: 'signed-in', sessionId: 's1', userId: 'user-ann' },
      { v: 1, kind: 'signed-out', sessionId: 's1', reason: 'logout' },
    ]);
  });
});

describe('a guest tab', () => {
  it('asks the cookie when it hears of a sign-in', async () => {
    const browser = fakeBrowser();
    const a = openTab({ browser });
    const b = openTab({ browser, answers: [granted()] });
    await b.session.start();
    a.session.signIn(grantOf());
    await settled();
    expect(b.session.state).toMatchObject({ status: 'signed-in', user: person('ann') });
    expect(b.refresh).toHaveBeenCalledTimes(1);
    expect(browser.documents).toEqual([]);
  });

  it('asks again if another tab has refreshed while it was being refused with an old cookie', async () => {
    const browser = fakeBrowser();
    const a = openTab({ browser, answers: [granted({ generation: 2 })] });
    a.session.signIn(grantOf());
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const b = openTab({ browser, answers: [promise, granted({ generation: 2 })] });
    const started = b.session.start();
    // This answer brings the right cookie back.
    await a.refused();
    resolve({ kind: 'ended', reason: 'revoked' });
    await started;
    expect(b.session.state).toMatchObject({ status: 'signed-in', user: person('ann') });
  });

  it('believes the marker of a sign-in whose message has yet to arrive', async () => {
    const browser = fakeBrowser();
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { session } = openTab({ browser, answers: [promise, granted({ sid: 's3' })] });
    await session.start();
    say(returning(browser, { sessionId: 's2', userId: 'user-bob' }), signedInElsewhere());
    await settled();
    returning(browser, { sessionId: 's3' });
    resolve({ kind: 'ended', reason: 'revoked' });
    await settled();
    expect(session.state).toMatchObject({ status: 'signed-in', session: { id: 's3' } });
  });

  it('asks again when it hears of the session that it is just asking about', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { session, browser, refresh } = openTab({ answers: [promise, granted()] });
    await session.start();
    for (let i = 0; i < 2; i++) {
      say(browser, signedInElsewhere('s1', 'user-ann'));
      await settled();
    }
    expect(refresh).toHaveBeenCalledTimes(1);
    // About an old cookie that a late answer had put back into the jar.
    resolve({ kind: 'ended', reason: 'revoked' });
    await settled();
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state.status).toBe('signed-in');
  });

  it('asks when it is looked at if it is hidden, and again if the server did not answer', async () => {
    const { session, browser, refresh, tab, clock } = openTab({ answers: [new TypeError('offline'), granted()] });
    await session.start();
    tab.hide();
    say(browser, signedInElsewhere('s1', 'user-ann'));
    await settled();
    expect(refresh).not.toHaveBeenCalled();
    tab.show();
    await settled();
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state.status).toBe('signed-out');
    await clock.advance(1000);
    expect(session.state.status).toBe('signed-in');
  });

  it('MT-11 notices a sign-in that it slept through', async () => {
    const { session, browser, tab } = openTab({ answers: [granted()] });
    await session.start();
    returning(browser);
    tab.show();
    await settled();
    expect(session.state.status).toBe('signed-in');
  });

  it('does not ask for ever about a session that the server has ended', async () => {
    const browser = fakeBrowser();
    const { session, refresh, tab, clock } = openTab({
      browser,
      answers: [{ kind: 'ended', reason: 'revoked' }],
      // Read-only: the marker stays `active`.
      environment: {
        storage: {
          getItem: browser.storage.getItem,
          setItem: () => {
            throw new Error('full');
          },
          removeItem: () => {
            throw new Error('full');
          },
        },
      },
    });
    returning(browser);
    await session.start();
    for (let i = 0; i < 20; i++) {
      tab.show();
      await clock.advance(60_000);
    }
    expect(session.state.status).toBe('signed-out');
    expect(refresh).toHaveBeenCalledTimes(1);
  });
});

describe('a tab that does not know yet who is signed in', () => {
  const asking = (options: Parameters<typeof openTab>[0] = {}) => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const opened = openTab({
      browser: returning(),
      answers: [promise, granted({ sid: 's2', name: 'bob', generation: 2 })],
      ...options,
    });
    return { ...opened, started: opened.session.start(), resolve };
  };
  const bob = { status: 'signed-in', user: person('bob'), session: { id: 's2' } };

  it('asks again when somebody signs in elsewhere meanwhile', async () => {
    const { session, browser, refresh, started, resolve } = asking();
    await settled();
    say(browser, signedInElsewhere());
    await settled();
    resolve({ kind: 'ended', reason: 'revoked' });
    await started;
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject(bob);
  });

  it.each<[string, RefreshOutcome]>([
    ['a refusal', { kind: 'ended', reason: 'revoked' }],
    ['a grant', granted({ sid: 's1', generation: 2 })],
  ])('does not take %s for the cookie of before, if only the marker tells of the sign-in', async (_what, answer) => {
    const { session, browser, refresh, started, resolve } = asking({ environment: { openChannel: null } });
    await settled();
    returning(browser, { sessionId: 's2', userId: 'user-bob' });
    resolve(answer);
    await started;
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject(bob);
    expect(browser.marker()).toMatchObject({ sessionId: 's2', state: 'active' });
  });

  it('LO-02 is not brought back by a refresh that was answered after the logout of another tab', async () => {
    const { session, browser, started, resolve } = asking();
    await settled();
    returning(browser, { state: 'logout-pending' });
    resolve(granted());
    await started;
    expect(session.state).toEqual({ status: 'signed-out', reason: 'logout' });
  });

  it('LO-02 nor if only a message has told of the logout', async () => {
    const { session, browser, started, resolve } = asking({ environment: { storage: null } });
    await settled();
    say(browser, { kind: 'signed-out', sessionId: 's1', reason: 'logout' });
    await settled();
    resolve(granted());
    await started;
    expect(session.state.status).toBe('signed-out');
  });
});

describe('a message', () => {
  it.each([
    null,
    1,
    'signed-out',
    [],
    {},
    { kind: 'signed-out' },
    { kind: 'signed-out', sessionId: 's1' },
    { v: 2, kind: 'signed-out', sessionId: 's1', reason: 'logout' },
    { kind: 'signed-in', sessionId: 's2' },
    { kind: 'signed-in', sessionId: 2, userId: 'user-bob' },
    { kind: 'token', grant: grantOf({ generation: 9 }) },
    { kind: 'signed-out', sessionId: 's9', reason: 'logout' },
    { kind: 'signed-in', sessionId: 's1', userId: 'user-ann' },
  ])('SE-08 %j changes nothing', async (message) => {
    const { session, browser, tab } = openTab();
    session.signIn(grantOf());
    const { state } = session;
    say(browser, message);
    await settled();
    tab.fire('wake');
    expect(session.state).toBe(state);
    expect(browser.documents).toEqual([]);
  });

  it('is ignored if it tells of an older sign-in than the marker', async () => {
    const { session, browser } = openTab();
    session.signIn(grantOf({ sid: 's2' }));
    say(browser, signedInElsewhere('s1', 'user-ann'));
    await settled();
    expect(session.state.status).toBe('signed-in');
  });
});
