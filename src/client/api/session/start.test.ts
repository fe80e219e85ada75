import { describe, expect, it } from 'vitest';
import { fakeBrowser, settled } from '../testing/fake-browser.ts';
import { grantOf, person } from '../testing/fake-server.ts';
import { granted, openTab, returning } from '../testing/open-tab.ts';

describe('start', () => {
  it('LC-01 refreshes once however often it is called, and signs in silently', async () => {
    const { session, refresh, listener } = openTab({ browser: returning() });
    const first = session.start();
    expect(session.start()).toBe(first);
    await first;
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state).toEqual({
      status: 'signed-in',
      user: person('ann'),
      session: { id: 's1', generation: 2 },
      stale: false,
    });
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it('makes no request on a first visit that the app knows to be one', async () => {
    const { session, refresh, browser } = openTab();
    await session.start();
    expect(session.state).toEqual({ status: 'signed-out' });
    expect(refresh).not.toHaveBeenCalled();
    expect(browser.stored.size).toBe(0);
  });

  it('asks the server if nothing is known at all', async () => {
    const { session, refresh } = openTab({ refreshOnFirstVisit: undefined });
    await session.start();
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state.status).toBe('signed-in');
  });

  it('makes no request in a browser that was signed out', async () => {
    const { session, refresh, logout } = openTab({ browser: returning(fakeBrowser(), { state: 'ended' }) });
    await session.start();
    expect(session.state).toEqual({ status: 'signed-out' });
    expect(refresh).not.toHaveBeenCalled();
    expect(logout).not.toHaveBeenCalled();
  });

  it('asks all the same if the app knows that there is a cookie', async () => {
    const browser = returning(fakeBrowser(), { state: 'ended' });
    const { session } = openTab({ browser, refreshOnFirstVisit: true, answers: [granted({ sid: 's2', name: 'bob' })] });
    await session.start();
    expect(session.state).toMatchObject({ status: 'signed-in', user: person('bob') });
  });

  it('does not ask with the cookie of a logout that the server has yet to hear of', async () => {
    const browser = returning(fakeBrowser(), { state: 'logout-pending' });
    const { session, refresh, logout } = openTab({ browser, refreshOnFirstVisit: true });
    await session.start();
    expect(session.state).toEqual({ status: 'signed-out' });
    expect(refresh).not.toHaveBeenCalled();
    expect(logout).toHaveBeenCalledTimes(1);
  });

  const deny = () => {
    throw new Error('denied');
  };
  it.each([
    ['is missing', null],
    ['throws', { getItem: deny, setItem: deny, removeItem: deny }],
    ['is full, so no marker can have been left', { getItem: () => null, setItem: deny, removeItem: () => {} }],
  ])('LC-09 asks the server where storage %s', async (_why, storage) => {
    const { session, refresh } = openTab({ environment: { storage, openChannel: null } });
    await session.start();
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state.status).toBe('signed-in');
  });

  it.each(['{', '[]', '7', '{"v":2,"sessionId":"s1","userId":"u","state":"active"}', '{"v":1,"sessionId":1}'])(
    'ignores the malformed marker %s',
    async (text) => {
      const browser = fakeBrowser();
      browser.stored.set('latchkey.marker', text);
      const { session } = openTab({ browser });
      await session.start();
      expect(session.state.status).toBe('signed-out');
    },
  );

  it('removes a marker that it cannot replace', async () => {
    const browser = returning();
    const { session } = openTab({
      browser,
      answers: [granted({ sid: 's2', name: 'bob' })],
      environment: { storage: { ...browser.storage, setItem: deny } },
    });
    await session.start();
    expect(session.state).toMatchObject({ user: person('bob') });
    expect(browser.marker()).toBeNull();
  });

  it('signs out once on a definite refusal, and remembers it', async () => {
    const { session, listener, browser } = openTab({
      browser: returning(),
      answers: [{ kind: 'ended', reason: 'expired' }],
    });
    await session.start();
    expect(session.state).toEqual({ status: 'signed-out', reason: 'expired' });
    expect(listener).toHaveBeenCalledTimes(1);
    expect(browser.marker()).toMatchObject({ state: 'ended', sessionId: 's1' });
  });

  it('does not make somebody wait who wants to retry', async () => {
    const { session, refresh } = openTab({
      browser: returning(),
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    await session.start();
    expect(session.state.status).toBe('unknown');
    session.retry();
    session.retry();
    await settled();
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state.status).toBe('signed-in');
  });

  it('RF-14 leaves the state unknown without the server, and retries in the background', async () => {
    const { session, refresh, clock, listener } = openTab({
      browser: returning(),
      answers: [new TypeError('offline'), granted()],
    });
    await session.start();
    expect(session.state).toEqual({ status: 'unknown' });
    expect(listener).not.toHaveBeenCalled();
    await clock.advance(2000);
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state.status).toBe('signed-in');
  });

  it('is not needed after a sign-in', async () => {
    const { session, refresh } = openTab({ browser: returning() });
    session.signIn(grantOf());
    await session.start();
    expect(refresh).not.toHaveBeenCalled();
  });
});
