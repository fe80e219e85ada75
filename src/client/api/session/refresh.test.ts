import { describe, expect, it } from 'vitest';
import { settled } from '../testing/fake-browser.ts';
import { grantOf, type RefreshOutcome, type User } from '../testing/fake-server.ts';
import { granted, MINUTE_MS, never, openTab } from '../testing/open-tab.ts';
import type { Session } from './types.ts';

describe('a refresh', () => {
  it('SF-02 serves everybody who waits', async () => {
    const { session, refused, refresh, bearer } = openTab();
    session.signIn(grantOf());
    expect(await Promise.all([refused(), refused(), refused()])).toEqual([
      { kind: 'ready' },
      { kind: 'ready' },
      { kind: 'ready' },
    ]);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(bearer()).toBe(grantOf({ generation: 2 }).accessToken);
  });

  it('is not made for the refusal of an older token', async () => {
    const { session, core, refresh } = openTab();
    session.signIn(grantOf());
    await core.renew(1);
    expect(await core.renew(1)).toEqual({ kind: 'ready' });
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SF-08 SF-09 pauses after a failure, then is tried again', async () => {
    const { session, refused, refresh, clock } = openTab({ answers: [new TypeError('offline')] });
    session.signIn(grantOf());
    for (let i = 0; i < 50; i++) expect(await refused()).toMatchObject({ kind: 'unavailable' });
    expect(refresh).toHaveBeenCalledTimes(1);
    // Half of the base: the shortest that the jitter allows.
    await clock.advance(1000);
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it('RF-02 RF-07 keeps the session when the server cannot be reached', async () => {
    const cause = new TypeError('offline');
    const { session, core, refused } = openTab({ answers: [cause] });
    session.signIn(grantOf());
    for (const renewal of await Promise.all([refused(), refused()]))
      expect(renewal).toEqual({ kind: 'unavailable', retryAfterMs: 1000, cause });
    expect(session.state).toMatchObject({ status: 'signed-in', stale: true });
    expect(core.needsRenewal()).toBe(true);
  });

  it('RF-03 waits as long as the server asks for', async () => {
    const { session, refused, refresh, clock, tab } = openTab({
      answers: [{ kind: 'unavailable', retryAfterMs: 60_000 }, granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    expect(await refused()).toMatchObject({ retryAfterMs: 60_000 });
    tab.fire('online');
    await clock.advance(59_999);
    expect(refresh).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it('RF-13 backs off, up to a limit', async () => {
    const { session, refused, refresh, clock } = openTab({ answers: [{ kind: 'unavailable' }] });
    session.signIn(grantOf({ expiresIn: 100_000 }));
    await refused();
    const at: number[] = [];
    for (let ms = 500; ms <= 12_000; ms += 500) {
      const before = refresh.mock.calls.length;
      await clock.advance(500);
      if (refresh.mock.calls.length > before) at.push(ms);
    }
    // Half of 2, 4, 8 and 8 seconds after one another.
    expect(at).toEqual([1000, 3000, 7000, 11_000]);
    expect(session.state.status).toBe('signed-in');
  });

  const half = (over: object) => async () => ({ kind: 'granted', grant: { ...grantOf(), ...over } });
  it.each([
    [
      'throws',
      () => {
        throw new Error('bug');
      },
    ],
    ['returns no promise', () => undefined],
    ['answers an unknown kind', async () => ({ kind: 'maybe' })],
    ['answers an unknown reason', async () => ({ kind: 'ended', reason: 'bored' })],
    ['answers an empty token', half({ accessToken: '' })],
    ['answers a lifetime of nothing', half({ expiresIn: 0 })],
    ['answers an endless lifetime', half({ expiresIn: Infinity })],
    ['answers no session', half({ session: null })],
    ['answers no generation', half({ session: { id: 's1' } })],
    ['answers a user without an id', half({ user: { username: 'ann' } })],
    ['answers null', async () => null],
    [
      'answers what cannot even be read',
      async () => ({
        kind: 'granted',
        get grant() {
          throw new Error('bug');
        },
      }),
    ],
  ])('RF-06 SE-10 that %s counts as unavailable, and what it answered is not shown', async (_what, refresh) => {
    const { session, refused } = openTab({ refresh: refresh as never });
    session.signIn(grantOf());
    const renewal = await refused();
    expect(renewal.kind).toBe('unavailable');
    const { cause } = renewal as { cause?: unknown };
    expect(JSON.stringify({ ...renewal, cause: String(cause) })).not.toContain('secret');
    expect(session.state.status).toBe('signed-in');
  });

  it('RF-13 without a cooldown is made for each caller, and does not storm in the background', async () => {
    const { session, refused, refresh, clock } = openTab({
      answers: [new TypeError('offline')],
      cooldown: { baseMs: 0, maxMs: 0 },
    });
    session.signIn(grantOf());
    await refused();
    await refused();
    expect(refresh).toHaveBeenCalledTimes(2);
    await clock.advance(10_000);
    expect(refresh).toHaveBeenCalledTimes(22);
  });

  it('SF-08 counts a sleep as a pause', async () => {
    const { session, refused, refresh, clock } = openTab({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    await refused();
    clock.sleep(MINUTE_MS);
    expect(await refused()).toEqual({ kind: 'ready' });
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it.each([Number.NaN, -5, Number.POSITIVE_INFINITY])('ignores a retry time of %s', async (retryAfterMs) => {
    const { session, refused } = openTab({ answers: [{ kind: 'unavailable', retryAfterMs }] });
    session.signIn(grantOf());
    expect(await refused()).toMatchObject({ retryAfterMs: 1000 });
  });

  it('is given up after ten seconds, whether it heeds its signal or not', async () => {
    const { session, refused, refresh, clock } = openTab({ answers: [never] });
    session.signIn(grantOf());
    const renewal = refused();
    await clock.advance(9999);
    expect(refresh.mock.calls[0]![0].signal.aborted).toBe(false);
    await clock.advance(1);
    expect(await renewal).toMatchObject({ kind: 'unavailable' });
    expect(refresh.mock.calls[0]![0].signal.aborted).toBe(true);
  });

  it.each([
    ['signing out', (session: Session<User>) => void session.signOut()],
    ['signing in', (session: Session<User>) => session.signIn(grantOf({ sid: 's2' }))],
    ['disposing', (session: Session<User>) => session.dispose()],
    ['the end', (session: Session<User>) => session.ended('revoked', 's1')],
  ])('LO-07 is ended at once by %s, and its answer changes nothing', async (_what, act) => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { session, refused, refresh } = openTab({ answers: [promise] });
    session.signIn(grantOf());
    const renewal = refused();
    await settled();
    act(session);
    const after = session.state;
    expect(refresh.mock.calls[0]![0].signal.aborted).toBe(true);
    expect((await renewal).kind).toMatch(/ended|disposed/);
    resolve(granted({ generation: 9 }));
    await settled();
    expect(session.state).toBe(after);
  });

  it('does not take a lower generation than the current one', async () => {
    const { session, refused } = openTab({ answers: [granted({ generation: 4 })] });
    session.signIn(grantOf({ generation: 5 }));
    expect((await refused()).kind).toBe('unavailable');
    expect(session.state).toMatchObject({ session: { generation: 5 } });
  });

  it('takes the current generation: the server has just rotated, or an answer was lost', async () => {
    const { session, refused, bearer } = openTab({
      answers: [granted({ generation: 5, token: 'secret-kept', expiresIn: 60 })],
    });
    session.signIn(grantOf({ generation: 5 }));
    expect((await refused()).kind).toBe('ready');
    expect(bearer()).toBe('secret-kept');
  });

  it.each(['none', 'expired'] as const)(
    'RF-08 that is told %s ahead of time ends the session when its token expires',
    async (reason) => {
      const { session, core, refresh, clock, tab, listener } = openTab({ answers: [{ kind: 'ended', reason }] });
      session.signIn(grantOf());
      await clock.advance(14 * MINUTE_MS);
      expect(refresh).toHaveBeenCalledTimes(1);
      expect(session.state.status).toBe('signed-in');
      expect(core.needsRenewal()).toBe(false);
      // Nothing is asked, so it need not be looked at.
      tab.hide();
      await clock.advance(MINUTE_MS - 1);
      expect(session.state.status).toBe('signed-in');
      await clock.advance(1);
      expect(session.state).toEqual({ status: 'signed-out', reason });
      expect(refresh).toHaveBeenCalledTimes(1);
      expect(listener).toHaveBeenCalledTimes(2);
    },
  );

  it.each(['revoked', 'reused', 'invalid'] as const)('RF-08 that is told %s ends it at once', async (reason) => {
    const { session, clock } = openTab({ answers: [{ kind: 'ended', reason }] });
    session.signIn(grantOf());
    await clock.advance(14 * MINUTE_MS);
    expect(session.state).toEqual({ status: 'signed-out', reason });
  });

  it('tells the app why it is made and what it came to', async () => {
    const { session, refused, clock, onEvent } = openTab({
      answers: [granted({ generation: 2 }), new TypeError('offline'), { kind: 'ended', reason: 'revoked' }],
    });
    session.signIn(grantOf());
    await refused();
    await clock.advance(14 * MINUTE_MS + 1000);
    expect(onEvent.mock.calls.map(([event]) => event)).toEqual([
      { kind: 'refreshed', generation: 1 },
      { kind: 'refreshing', why: 'refused' },
      { kind: 'refreshed', generation: 2 },
      { kind: 'refreshing', why: 'ahead of time' },
      { kind: 'unavailable', retryAfterMs: 1000, cause: new TypeError('offline') },
      { kind: 'refreshing', why: 'ahead of time' },
      { kind: 'signed-out', reason: 'revoked' },
    ]);
    expect(JSON.stringify(onEvent.mock.calls)).not.toContain('secret');
  });
});

describe('a server that refuses every fresh token', () => {
  it('is asked after growing pauses, and the token stays in use meanwhile', async () => {
    const { session, core, refused, refresh, clock, tokenVersion } = openTab();
    session.signIn(grantOf());
    await refused();
    void core.renew(tokenVersion(), true);
    expect(session.state).toMatchObject({ stale: true });
    expect(core.needsRenewal()).toBe(false);
    expect(await refused()).toMatchObject({ kind: 'unavailable', retryAfterMs: 1000 });
    const at: number[] = [];
    // A call every 100 ms that is refused, and refused again if it is sent again.
    for (let ms = 100; ms <= 20_000; ms += 100) {
      const before = refresh.mock.calls.length;
      await clock.advance(100);
      if ((await refused()).kind === 'ready') void core.renew(tokenVersion(), true);
      if (refresh.mock.calls.length > before) at.push(ms);
    }
    expect(at).toEqual([1000, 3000, 7000, 11_000, 15_000, 19_000]);
  });

  it('SF-04 holds back what starts while it is asked again', async () => {
    const { session, core, refused, clock, tokenVersion } = openTab({ answers: [granted({ generation: 2 }), never] });
    session.signIn(grantOf());
    await refused();
    void core.renew(tokenVersion(), true);
    expect(core.needsRenewal()).toBe(false);
    await clock.advance(1000);
    expect(core.needsRenewal()).toBe(true);
  });

  it('starts over with short pauses once a token has lived', async () => {
    const { session, core, refused, refresh, clock, tokenVersion } = openTab();
    session.signIn(grantOf());
    await refused();
    void core.renew(tokenVersion(), true);
    await clock.advance(60_000);
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(await refused()).toEqual({ kind: 'ready' });
    expect(refresh).toHaveBeenCalledTimes(3);
  });
});

describe('accessToken', () => {
  it('resolves the current token while that is usable', async () => {
    const { session, refresh } = openTab();
    session.signIn(grantOf());
    expect(await session.accessToken()).toBe(grantOf().accessToken);
    expect(refresh).not.toHaveBeenCalled();
  });

  it('refreshes an expired one first', async () => {
    const { session, refresh, clock } = openTab();
    session.signIn(grantOf());
    clock.sleep(3_600_000);
    expect(await session.accessToken()).toBe(grantOf({ generation: 2 }).accessToken);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('rejects for a guest, and as unavailable where the server does not answer', async () => {
    const guest = openTab();
    await expect(guest.session.accessToken()).rejects.toThrow('Nobody is signed in.');
    const { session, clock } = openTab({ answers: [new TypeError('offline')] });
    session.signIn(grantOf());
    clock.sleep(3_600_000);
    await expect(session.accessToken()).rejects.toMatchObject({
      message: 'The session could not be refreshed. Please try again.',
      meta: { refresh: 'unavailable', retryAfterMs: 1000 },
    });
  });
});
