import { describe, expect, it } from 'vitest';
import { settled } from '../testing/fake-browser.ts';
import { grantOf, person } from '../testing/fake-server.ts';
import { granted, MINUTE_MS, openTab, returning, say } from '../testing/open-tab.ts';

const bob = { sid: 's2', name: 'bob' };
const replaced = { status: 'signed-out', reason: 'replaced' };

type Tab = ReturnType<typeof openTab>;
/** The ways in which the page of Ann learns that the browser is Bob's now. */
const ways: [string, (tab: Tab) => unknown][] = [
  [
    'a message',
    ({ browser }) => {
      // Storage that has failed in the meantime.
      browser.stored.clear();
      say(browser, { kind: 'signed-in', sessionId: 's2', userId: 'user-bob' });
    },
  ],
  [
    'the marker, when it wakes',
    ({ browser, tab }) => {
      returning(browser, { sessionId: 's2', userId: 'user-bob' });
      tab.show();
    },
  ],
  [
    'the marker of somebody who has signed out again',
    ({ browser, tab }) => {
      returning(browser, { sessionId: 's2', userId: 'user-bob', state: 'ended' });
      tab.show();
    },
  ],
  ['the answer to its refresh', ({ refused }) => refused()],
  [
    'the marker, while it refreshes',
    ({ browser, refused }) => {
      const renewal = refused();
      returning(browser, { sessionId: 's2', userId: 'user-bob' });
      return renewal;
    },
  ],
  ['a sign-in on the page itself', ({ session }) => session.signIn(grantOf(bob))],
];

describe('the page of Ann', () => {
  it.each(ways)('ends, and a new document is loaded, when Bob signs in: by %s', async (_how, learn) => {
    const opened = openTab({ answers: [granted(bob)] });
    const { session, core, browser, listener } = opened;
    session.signIn(grantOf());
    listener.mockClear();
    await learn(opened);
    await settled();
    expect(session.state).toEqual(replaced);
    expect(browser.documents).toEqual([undefined]);
    const shown = listener.mock.calls.map(([state]) => (state.status === 'signed-in' ? state.user.id : state));
    expect(shown.filter((what) => what !== 'user-ann')).toEqual([replaced]);
    expect(core.bearer()).toBeUndefined();
    expect(core.needsRenewal()).toBe(false);
  });

  it.each(ways)('never knows Bob afterwards, whatever happens on it: by %s', async (_how, learn) => {
    const opened = openTab({ answers: [granted(bob)] });
    const { session, core, browser, tab, clock, refresh, logout } = opened;
    session.signIn(grantOf());
    await learn(opened);
    await settled();
    refresh.mockClear();
    logout.mockClear();
    expect(await core.renew(1)).toEqual({ kind: 'ended' });
    await expect(session.accessToken()).rejects.toThrow('Nobody is signed in.');
    tab.hide();
    tab.show();
    say(browser, { kind: 'signed-in', sessionId: 's3', userId: 'user-cy' });
    session.retry();
    session.userChanged(person('bob'));
    await session.start();
    await session.signOut();
    await clock.advance(60 * MINUTE_MS);
    expect(session.state).toEqual(replaced);
    expect(browser.documents).toEqual([undefined]);
    expect(refresh).not.toHaveBeenCalled();
    expect(logout).not.toHaveBeenCalled();
  });

  it('is loaded anew if the back/forward cache restores it', async () => {
    const { session, browser, tab } = openTab();
    session.signIn(grantOf());
    session.signIn(grantOf(bob), '/dashboard');
    expect(browser.documents).toEqual(['/dashboard']);
    tab.fire('hide');
    tab.fire('show');
    expect(browser.documents).toEqual(['/dashboard', undefined]);
  });

  it.each([
    ['Bob', bob],
    ['Ann', { sid: 's2' }],
  ])('after her logout gets a new document when %s signs in, which finds the new session', async (name, over) => {
    const before = openTab();
    const { session, browser } = before;
    session.signIn(grantOf());
    await session.signOut();
    expect(session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    session.signIn(grantOf(over));
    expect(session.state).toEqual(replaced);
    expect(before.bearer()).toBeUndefined();
    expect(browser.documents).toEqual([undefined]);
    const after = openTab({ browser, answers: [granted(over)] });
    await after.session.start();
    expect(after.session.state).toMatchObject({ user: person(name.toLowerCase()), session: { id: 's2' } });
  });

  it('MT-11 MT-10 stays where she has signed out elsewhere: signed out, without a new document', async () => {
    const { session, browser, tab, refresh } = openTab();
    session.signIn(grantOf());
    returning(browser, { state: 'ended' });
    tab.show();
    expect(session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    await settled();
    expect(refresh).not.toHaveBeenCalled();
    expect(browser.documents).toEqual([]);
  });

  it('MT-11 after her logout is loaded anew when somebody signs in elsewhere', async () => {
    const { session, browser } = openTab();
    session.signIn(grantOf());
    await session.signOut();
    say(browser, { kind: 'signed-in', sessionId: 's2', userId: 'user-bob' });
    await settled();
    expect(browser.documents).toEqual([undefined]);
    expect(session.state).toEqual(replaced);
  });

  it('is not loaded anew in a loop where storage and cookie disagree', async () => {
    const { session, browser, tab, clock } = openTab({ browser: returning(), answers: [granted(bob)] });
    await session.start();
    expect(session.state).toMatchObject({ user: person('bob') });
    for (let i = 0; i < 10; i++) {
      tab.show();
      await clock.advance(MINUTE_MS);
    }
    expect(browser.documents).toEqual([]);
    expect(browser.marker()).toMatchObject({ sessionId: 's2', state: 'active' });
  });
});

describe('a guest page', () => {
  it('becomes the page of who signs in on it, without a new document', async () => {
    const { session, browser } = openTab();
    await session.start();
    session.signIn(grantOf());
    expect(session.state).toMatchObject({ status: 'signed-in', user: person('ann') });
    expect(browser.documents).toEqual([]);
  });
});
