import { afterEach, describe, expect, it, vi } from 'vitest';
import { coreOf } from './session-core.ts';
import { createSession, type RefreshOutcome, type Session, type SessionOptions } from './session.ts';
import { fakeBrowser, settled } from './testing/fake-browser.ts';
import { fakeServer, grantOf, person } from './testing/fake-server.ts';

const MINUTE_MS = 60_000;
const granted = (over?: Parameters<typeof grantOf>[0]): RefreshOutcome => ({ kind: 'granted', grant: grantOf(over) });
const sessions: Session[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.dispose();
});

/** A tab of `browser` with a session in it. `answers` are given one after the other, the last one for ever. */
function world({
  browser = fakeBrowser(),
  answers = [granted({ generation: 2 })] as (RefreshOutcome | Error | Promise<RefreshOutcome>)[],
  environment = {},
  ...options
}: Partial<SessionOptions> & {
  browser?: ReturnType<typeof fakeBrowser>;
  answers?: (RefreshOutcome | Error | Promise<RefreshOutcome>)[];
} = {}) {
  const tab = browser.tab(environment);
  const left = [...answers];
  const refresh = vi.fn<SessionOptions['refresh']>(async () => {
    const answer = left.length > 1 ? left.shift()! : left[0]!;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const logout = vi.fn<SessionOptions['logout']>(async () => {});
  const session = createSession({
    refresh,
    logout,
    cooldown: { baseMs: 2000, maxMs: 8000 },
    refreshOnFirstVisit: false,
    ...options,
    environment: tab.environment,
  });
  sessions.push(session);
  const core = coreOf(session);
  const told = vi.fn<(state: Session['state']) => void>();
  session.subscribe(() => told(session.state));
  return {
    browser,
    clock: browser.clock,
    tab,
    session,
    core,
    refresh,
    logout,
    told,
    status: () => session.state.status,
  };
}

/** As if a reload: somebody has logged in here before. */
function returning(browser = fakeBrowser(), marker: { sid?: string; at?: number } = {}) {
  const all = { v: 1, sid: 's1', generation: 1, state: 'active', at: 0, ...marker };
  browser.stored.set('latchkey.marker', JSON.stringify(all));
  return browser;
}

const never = new Promise<never>(() => {});
const refused = (core: ReturnType<typeof coreOf>) => core.renew(core.stamp());

describe('start', () => {
  it('LC-01 asks once however often it is called, and signs in silently', async () => {
    const { session, refresh, told } = world({ browser: returning() });
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
    expect(told).toHaveBeenCalledTimes(1);
  });

  it('a first visit makes no request where the app knows it for one', async () => {
    const { session, refresh, browser } = world();
    await session.start();
    expect(session.state).toEqual({ status: 'signed-out' });
    expect(refresh).not.toHaveBeenCalled();
    expect(browser.stored.size).toBe(0);
  });

  it('where nothing is remembered, and nothing else is known, the server is asked', async () => {
    const { session, refresh } = world({ refreshOnFirstVisit: undefined });
    await session.start();
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state.status).toBe('signed-in');
  });

  it('a browser that was signed out makes no request', async () => {
    const browser = fakeBrowser();
    browser.stored.set('latchkey.marker', JSON.stringify({ v: 1, sid: 's1', generation: 1, state: 'ended', at: 0 }));
    const { session, refresh, logout } = world({ browser });
    await session.start();
    expect(session.state).toEqual({ status: 'signed-out' });
    expect(refresh).not.toHaveBeenCalled();
    expect(logout).not.toHaveBeenCalled();
  });

  const refuse = () => {
    throw new Error('denied');
  };
  it.each([
    ['there is none', null],
    ['it throws', { getItem: refuse, setItem: refuse, removeItem: refuse }],
    [
      'it is full, so that no marker can have been left',
      { getItem: () => null, setItem: refuse, removeItem: () => {} },
    ],
  ])('LC-09 without a storage that works the server is asked: %s', async (_why, storage) => {
    const { session, refresh } = world({ environment: { storage, locks: null, openChannel: null } });
    await session.start();
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state.status).toBe('signed-in');
  });

  it('a marker that cannot be read is no marker', async () => {
    for (const text of ['{', '[]', '{"v":2,"sid":"s1","generation":1,"state":"active","at":1}', '{"v":1,"sid":1}']) {
      const browser = fakeBrowser();
      browser.stored.set('latchkey.marker', text);
      const { session } = world({ browser });
      await session.start();
      expect({ text, status: session.state.status }).toEqual({ text, status: 'signed-out' });
    }
  });

  it('a definite no signs out, once, and is remembered', async () => {
    const { session, told, browser } = world({ browser: returning(), answers: [{ kind: 'ended', reason: 'expired' }] });
    await session.start();
    expect(session.state).toEqual({ status: 'signed-out', reason: 'expired' });
    expect(told).toHaveBeenCalledTimes(1);
    expect(browser.marker()).toMatchObject({ state: 'ended', sid: 's1' });
  });

  it('somebody who does not want to wait need not', async () => {
    const { session, refresh } = world({
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

  it('RF-14 without the server the state stays unknown, and the background tries again', async () => {
    const { session, refresh, clock, told } = world({
      browser: returning(),
      answers: [new TypeError('offline'), granted()],
    });
    await session.start();
    expect(session.state).toEqual({ status: 'unknown' });
    expect(told).not.toHaveBeenCalled();
    await clock.advance(2000);
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state.status).toBe('signed-in');
  });

  it('is not needed where somebody has just logged in', async () => {
    const { session, refresh } = world({ browser: returning() });
    session.signIn(grantOf());
    await session.start();
    expect(refresh).not.toHaveBeenCalled();
  });
});

describe('one refresh', () => {
  it('SF-02 serves all who wait', async () => {
    const { session, core, refresh } = world();
    session.signIn(grantOf());
    const all = await Promise.all([refused(core), refused(core), refused(core)]);
    expect(all).toEqual([{ kind: 'ready' }, { kind: 'ready' }, { kind: 'ready' }]);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(core.accessToken()).toBe(grantOf({ generation: 2 }).accessToken);
  });

  it('a refusal of an older token asks for none', async () => {
    const { session, core, refresh } = world();
    session.signIn(grantOf());
    const old = core.stamp();
    await core.renew(old);
    expect(await core.renew(old)).toEqual({ kind: 'ready' });
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SF-08 SF-09 rests after a failure, then asks again', async () => {
    const { session, core, refresh, clock } = world({ answers: [new TypeError('offline')] });
    session.signIn(grantOf());
    for (let i = 0; i < 50; i++) expect(await refused(core)).toMatchObject({ kind: 'unavailable' });
    expect(refresh).toHaveBeenCalledTimes(1);
    // The backoff, at its least: half of the base.
    await clock.advance(1000);
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it('RF-02 RF-07 keeps the session when the server cannot be reached', async () => {
    const cause = new TypeError('offline');
    const { session, core } = world({ answers: [cause] });
    session.signIn(grantOf());
    const waiting = [refused(core), refused(core)];
    for (const renewal of await Promise.all(waiting))
      expect(renewal).toEqual({ kind: 'unavailable', retryAfterMs: 1000, cause });
    expect(session.state).toMatchObject({ status: 'signed-in', stale: true });
    expect(core.needsRenewal()).toBe(true);
  });

  it('RF-03 waits as long as the server asks for', async () => {
    const { session, core, refresh, clock, tab } = world({
      answers: [{ kind: 'unavailable', retryAfterMs: 60_000 }, granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    expect(await refused(core)).toMatchObject({ retryAfterMs: 60_000 });
    tab.fire('online');
    await clock.advance(59_999);
    expect(refresh).toHaveBeenCalledTimes(1);
    await clock.advance(1);
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it('RF-13 backs off, up to a limit', async () => {
    const { session, core, refresh, clock } = world({ answers: [{ kind: 'unavailable' }] });
    session.signIn(grantOf({ expiresIn: 100_000 }));
    await refused(core);
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

  it.each([
    [
      'a throw',
      () => {
        throw new Error('bug');
      },
    ],
    ['no promise', () => undefined],
    ['an unknown kind', async () => ({ kind: 'maybe' })],
    ['an unknown reason', async () => ({ kind: 'ended', reason: 'bored' })],
    ['half a grant', async () => ({ kind: 'granted', grant: { ...grantOf(), accessToken: '' } })],
    ['a lifetime of nothing', async () => ({ kind: 'granted', grant: { ...grantOf(), expiresIn: 0 } })],
    ['null', async () => null],
    [
      'what cannot even be read',
      async () => ({
        kind: 'granted',
        get grant() {
          throw new Error('bug');
        },
      }),
    ],
  ])('RF-06 SE-10 %s counts as unavailable, and shows nothing of what came', async (_what, refresh) => {
    const { session, core } = world({ refresh: refresh as never });
    session.signIn(grantOf());
    const renewal = await refused(core);
    expect(renewal.kind).toBe('unavailable');
    expect(JSON.stringify({ ...renewal, cause: String((renewal as { cause?: unknown }).cause) })).not.toContain(
      'secret',
    );
    expect(session.state.status).toBe('signed-in');
  });

  it('RF-13 without a cooldown callers may ask again at once, and the background does not storm', async () => {
    const { session, core, refresh, clock } = world({
      answers: [new TypeError('offline')],
      cooldown: { baseMs: 0, maxMs: 0 },
    });
    session.signIn(grantOf());
    await refused(core);
    await refused(core);
    expect(refresh).toHaveBeenCalledTimes(2);
    await clock.advance(10_000);
    expect(refresh).toHaveBeenCalledTimes(22);
  });

  it('SF-08 a sleep is a rest', async () => {
    const { session, core, refresh, clock } = world({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    await refused(core);
    clock.sleep(MINUTE_MS);
    expect(await refused(core)).toEqual({ kind: 'ready' });
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it.each([Number.NaN, -5, Number.POSITIVE_INFINITY])('takes no retry time of %s', async (retryAfterMs) => {
    const { session, core } = world({ answers: [{ kind: 'unavailable', retryAfterMs }] });
    session.signIn(grantOf());
    expect(await refused(core)).toMatchObject({ retryAfterMs: 1000 });
  });

  it('is given up after ten seconds, whether it heeds its signal or not', async () => {
    const { session, core, refresh, clock, browser } = world({ answers: [never] });
    session.signIn(grantOf());
    const renewal = refused(core);
    await clock.advance(9999);
    expect(browser.isLocked()).toBe(true);
    await clock.advance(1);
    expect(await renewal).toMatchObject({ kind: 'unavailable' });
    expect(refresh.mock.calls[0]![0].signal.aborted).toBe(true);
    expect(browser.isLocked()).toBe(false);
  });

  it.each([
    ['signing out', (session: Session) => void session.signOut()],
    ['signing in', (session: Session) => session.signIn(grantOf({ sid: 's2' }))],
    ['disposing', (session: Session) => session.dispose()],
    ['the end', (session: Session) => session.ended('revoked', 's1')],
  ])('LO-07 %s ends it at once, and its answer changes nothing', async (_what, act) => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { session, core, refresh } = world({ answers: [promise] });
    session.signIn(grantOf());
    const renewal = refused(core);
    await settled();
    act(session);
    const after = session.state;
    expect(refresh.mock.calls[0]![0].signal.aborted).toBe(true);
    expect((await renewal).kind).toMatch(/superseded|ended|disposed/);
    resolve(granted({ generation: 9 }));
    await settled();
    expect(session.state).toBe(after);
  });

  it('a lower generation than the one we have is not taken', async () => {
    const { session, core } = world({ answers: [granted({ generation: 4 })] });
    session.signIn(grantOf({ generation: 5 }));
    expect((await refused(core)).kind).toBe('unavailable');
    expect(session.state).toMatchObject({ session: { generation: 5 } });
  });

  it('the generation that we have is taken: the session rested, or an answer was lost', async () => {
    const { session, core } = world({ answers: [granted({ generation: 5, token: 'secret-rested', expiresIn: 60 })] });
    session.signIn(grantOf({ generation: 5 }));
    expect((await refused(core)).kind).toBe('ready');
    expect(core.accessToken()).toBe('secret-rested');
  });

  it('another session in the answer makes it that session, and what waited is void', async () => {
    const { session, core } = world({ answers: [granted({ sid: 's2', name: 'bob' })] });
    session.signIn(grantOf());
    const { epoch } = core.stamp();
    expect((await refused(core)).kind).toBe('superseded');
    expect(core.stamp().epoch).toBe(epoch + 1);
    expect(session.state).toMatchObject({ user: person('bob'), session: { id: 's2' } });
  });

  it('RF-08 ahead of time, a no that leaves the token alone ends the session when that expires', async () => {
    const { session, core, refresh, clock, told } = world({ answers: [{ kind: 'ended', reason: 'none' }] });
    session.signIn(grantOf());
    await clock.advance(14 * MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(session.state.status).toBe('signed-in');
    expect(core.needsRenewal()).toBe(false);
    await clock.advance(MINUTE_MS - 1);
    expect(session.state.status).toBe('signed-in');
    await clock.advance(1);
    expect(session.state).toEqual({ status: 'signed-out', reason: 'none' });
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(told).toHaveBeenCalledTimes(2);
  });

  it.each(['revoked', 'reused', 'invalid'] as const)('RF-08 but %s ends it at once', async (reason) => {
    const { session, clock } = world({ answers: [{ kind: 'ended', reason }] });
    session.signIn(grantOf());
    await clock.advance(14 * MINUTE_MS);
    expect(session.state).toEqual({ status: 'signed-out', reason });
  });
});

describe('signing in and out', () => {
  it('takes nothing that is no grant', () => {
    const { session } = world();
    expect(() => session.signIn({ accessToken: 'secret' } as never)).toThrow(TypeError);
    expect(() => session.signIn(null as never)).not.toThrow(/secret/);
    expect(session.state.status).toBe('unknown');
  });

  it('LO-04 signs out at once, and tells the server without a refresh', async () => {
    const { session, core, refresh, logout, told, browser } = world();
    session.signIn(grantOf());
    await refused(core);
    refresh.mockClear();
    const done = session.signOut();
    expect(session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    expect(core.accessToken()).toBeUndefined();
    expect(browser.marker()).toMatchObject({ state: 'logout-pending' });
    expect(told).toHaveBeenCalled();
    await done;
    expect(logout).toHaveBeenCalledTimes(1);
    expect(refresh).not.toHaveBeenCalled();
    expect(browser.marker()).toMatchObject({ state: 'ended' });
  });

  it('LO-05 twice is once', async () => {
    const { session, logout, told } = world();
    session.signIn(grantOf());
    told.mockClear();
    await Promise.all([session.signOut(), session.signOut()]);
    await session.signOut();
    expect(logout).toHaveBeenCalledTimes(1);
    expect(told).toHaveBeenCalledTimes(1);
  });

  it('LO-03 offline it is remembered over a reload, forbids the silent sign-in, and is sent when it can be', async () => {
    const browser = fakeBrowser();
    const before = world({
      browser,
      logout: async () => {
        throw new TypeError('offline');
      },
    });
    before.session.signIn(grantOf());
    await before.session.signOut();
    before.session.dispose();
    expect(browser.marker()).toMatchObject({ state: 'logout-pending' });

    const after = world({ browser });
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
    await after.browser.clock.advance(MINUTE_MS);
    expect(after.logout).toHaveBeenCalledTimes(2);
  });

  it('LO-03 LO-05 a logout that another tab has made up for is not sent again', async () => {
    const browser = fakeBrowser();
    const first = world({ browser });
    first.logout.mockRejectedValueOnce(new TypeError('offline'));
    first.session.signIn(grantOf());
    await first.session.signOut();
    const second = world({ browser });
    await second.session.start();
    await settled();
    expect(second.logout).toHaveBeenCalledTimes(1);
    await browser.clock.advance(MINUTE_MS);
    expect(first.logout).toHaveBeenCalledTimes(1);
  });

  it('LO-03 without a storage it is sent again while the page lives', async () => {
    const { session, logout, clock } = world({ environment: { storage: null } });
    logout.mockRejectedValueOnce(new TypeError('offline'));
    session.signIn(grantOf());
    await session.signOut();
    await clock.advance(999);
    expect(logout).toHaveBeenCalledTimes(1);
    await clock.advance(60_000);
    expect(logout).toHaveBeenCalledTimes(2);
  });

  it('logging out, in and out again tells the server of each', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { session, logout, browser } = world();
    logout.mockReturnValueOnce(promise);
    session.signIn(grantOf());
    void session.signOut();
    await settled();
    session.signIn(grantOf({ sid: 's2' }));
    await session.signOut();
    expect(logout).toHaveBeenCalledTimes(2);
    expect(logout.mock.calls.map(([{ signal }]) => signal.aborted)).toEqual([true, false]);
    resolve();
    await settled();
    expect(browser.marker()).toMatchObject({ sid: 's2', state: 'ended' });
  });

  it('a logout that was not sent is given up when somebody logs in', async () => {
    const browser = fakeBrowser();
    const logout = vi.fn<SessionOptions['logout']>(() => never);
    const { session, clock, tab } = world({ browser, logout });
    void browser.locks.request('latchkey', {}, () => never);
    session.signIn(grantOf());
    const done = session.signOut();
    await settled();
    session.signIn(grantOf({ sid: 's2' }));
    await done;
    tab.fire('online');
    await clock.advance(MINUTE_MS);
    expect(logout).not.toHaveBeenCalled();
    expect(session.state.status).toBe('signed-in');
    expect(browser.marker()).toMatchObject({ sid: 's2', state: 'active' });
  });

  it('a logout that hangs is given up after ten seconds', async () => {
    const { session, clock } = world({ logout: () => never });
    session.signIn(grantOf());
    const done = session.signOut();
    await clock.advance(10_000);
    await done;
    expect(session.state.status).toBe('signed-out');
  });

  it('LO-08 MT-10 what the server says of our session holds in every tab', async () => {
    const browser = fakeBrowser();
    const a = world({ browser });
    const b = world({ browser });
    a.session.signIn(grantOf());
    await settled();
    a.session.ended('revoked', 'another');
    expect(a.status()).toBe('signed-in');
    a.session.ended('revoked', 's1');
    a.session.ended('revoked', 's1');
    await settled();
    for (const { session, told } of [a, b]) {
      expect(session.state).toEqual({ status: 'signed-out', reason: 'revoked' });
      expect(told).toHaveBeenCalledTimes(2);
    }
    expect(browser.marker()).toMatchObject({ state: 'ended' });
  });

  it('a change of the person reaches every tab', async () => {
    const browser = fakeBrowser();
    const a = world({ browser });
    const b = world({ browser });
    a.session.signIn(grantOf());
    await settled();
    const user = { ...person('ann'), username: 'anna' };
    a.session.userChanged(user);
    a.session.userChanged(person('bob'));
    await settled();
    for (const { session } of [a, b]) expect(session.state).toMatchObject({ user });
    const { state } = b.session;
    a.session.userChanged(user);
    await settled();
    expect(b.session.state).toBe(state);
  });
});

describe('time', () => {
  const signedIn = (expiresIn: number, options: Parameters<typeof world>[0] = {}) => {
    const made = world({ answers: [{ kind: 'granted', grant: grantOf({ generation: 2, expiresIn }) }], ...options });
    made.session.signIn(grantOf({ expiresIn }));
    return made;
  };

  it('PR-01 refreshes a minute before the token expires', async () => {
    const { refresh, clock, told } = signedIn(900);
    await clock.advance(14 * MINUTE_MS - 1);
    expect(refresh).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(refresh).toHaveBeenCalledTimes(1);
    // Never stale in between: nothing to see.
    expect(told.mock.calls.map(([state]) => state.status === 'signed-in' && state.stale)).toEqual([false, false]);
  });

  it('PR-01 as long before as the app wants', () => {
    const lead = { leadMs: 30_000, jitterMs: 0 };
    expect(signedIn(60, { proactive: lead }).clock.delays()).toEqual([30_000]);
    expect(signedIn(600, { proactive: lead }).clock.delays()).toEqual([570_000]);
    expect(signedIn(20, { proactive: lead }).clock.delays()).toEqual([15_000]);
  });

  it('PR-01 MT-15 PR-09 but not in a page that nobody looks at', async () => {
    const { refresh, clock, tab } = signedIn(900);
    tab.hide();
    await clock.advance(60 * MINUTE_MS);
    expect(refresh).not.toHaveBeenCalled();
    tab.show();
    await settled();
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('is never ahead of time where that is not wanted', async () => {
    const { refresh, clock } = signedIn(900, { proactive: false });
    await clock.advance(60 * MINUTE_MS);
    expect(refresh).not.toHaveBeenCalled();
  });

  it.each([
    [1, 5000],
    [4, 5000],
    [40, 30_000],
    [90, 67_500],
    [900, 840_000],
    [30 * 24 * 3600, 2 ** 31 - 1],
  ])('PR-04 a token of %i s is refreshed after %i ms, and never in a circle', async (expiresIn, ms) => {
    const { clock } = signedIn(expiresIn);
    expect(clock.delays()).toEqual([ms]);
  });

  it('a timer longer than setTimeout can count is set in parts', async () => {
    const { refresh, clock } = signedIn(30 * 24 * 3600);
    await clock.advance(2 ** 31);
    expect(refresh).not.toHaveBeenCalled();
    await clock.advance(30 * 24 * 3_600_000 - 2 ** 31);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('PR-10 is spread, always to the earlier', () => {
    const { clock } = signedIn(900, { environment: { random: () => 0.5 } });
    expect(clock.delays()).toEqual([835_000]);
  });

  it('PR-05 sleep counts, although no timer fires', () => {
    const { core, clock } = signedIn(900);
    clock.sleep(20 * MINUTE_MS);
    expect(core.needsRenewal()).toBe(true);
  });

  it('PR-06 a clock that is set back hides no expiry', async () => {
    const { core, clock, tab } = signedIn(900);
    tab.hide();
    clock.setWall(0);
    await clock.advance(15 * MINUTE_MS);
    expect(core.needsRenewal()).toBe(true);
  });

  it('PR-06 a clock that is set forward costs one refresh', async () => {
    const { core, clock, refresh } = signedIn(900);
    clock.setWall(clock.now() + 3_600_000);
    expect(await refused(core)).toEqual({ kind: 'ready' });
    expect(core.needsRenewal()).toBe(false);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('PR-07 a failure ahead of time is silent, and tried again', async () => {
    const { session, core, clock, refresh, told } = world({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    told.mockClear();
    await clock.advance(14 * MINUTE_MS);
    expect(told).not.toHaveBeenCalled();
    expect(core.needsRenewal()).toBe(false);
    await clock.advance(1000);
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject({ stale: false, session: { generation: 2 } });
  });

  it('SF-05 an operation does not wait for what runs ahead of time', async () => {
    const { session, core, clock } = world({ answers: [never] });
    session.signIn(grantOf());
    await clock.advance(14 * MINUTE_MS);
    expect(core.needsRenewal()).toBe(false);
  });

  it('LC-06 asks nothing offline, and once when online again', async () => {
    const { session, core, refresh, clock, tab } = world({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    tab.page.online = false;
    await refused(core);
    await clock.advance(10 * MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(1);
    tab.page.online = true;
    tab.fire('online');
    tab.fire('online');
    await settled();
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject({ stale: false });
  });

  it('LC-10 being looked at again and again asks at most once per rest', async () => {
    const { session, core, refresh, tab } = world({ answers: [new TypeError('offline')] });
    session.signIn(grantOf());
    await refused(core);
    for (let i = 0; i < 20; i++) {
      tab.show();
      await settled();
    }
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('a fresh token that is refused makes it rest, and stays in use meanwhile', async () => {
    const { session, core, refresh, clock } = world();
    session.signIn(grantOf());
    await refused(core);
    core.refusedAgain(core.stamp());
    expect(session.state).toMatchObject({ stale: true });
    expect(core.needsRenewal()).toBe(false);
    expect(await refused(core)).toMatchObject({ kind: 'unavailable' });
    expect(refresh).toHaveBeenCalledTimes(1);
    await clock.advance(1000);
    expect(refresh).toHaveBeenCalledTimes(2);
  });
});

describe('tabs', () => {
  it('MT-02 a token that another tab fetched while we waited for the lock is taken, without a request', async () => {
    const browser = fakeBrowser();
    const server = fakeServer();
    const { promise: slow, resolve } = Promise.withResolvers<void>();
    const a = world({ browser, refresh: server.refresh(() => slow) });
    const b = world({ browser });
    a.session.signIn(server.logIn('ann'));
    await settled();
    const renewals = [refused(a.core), refused(b.core)];
    resolve();
    expect(await Promise.all(renewals)).toEqual([{ kind: 'ready' }, { kind: 'ready' }]);
    expect(server.seen.refreshes).toBe(1);
    expect(b.refresh).not.toHaveBeenCalled();
    expect(b.core.accessToken()).toBe(a.core.accessToken());
  });

  it('MT-02 a token whose message was missed is asked for', async () => {
    const browser = fakeBrowser();
    const a = world({ browser });
    a.session.signIn(grantOf());
    const b = world({ browser });
    b.tab.fire('hide');
    await refused(a.core);
    b.session.signIn(grantOf());
    // As if b had known the session from before.
    browser.stored.set('latchkey.marker', JSON.stringify({ v: 1, sid: 's1', generation: 2, state: 'active', at: 1 }));
    b.tab.fire('show');
    expect(await refused(b.core)).toEqual({ kind: 'ready' });
    expect(b.refresh).not.toHaveBeenCalled();
  });

  it('MT-02 of tabs that are opened together one asks, though its message to the others was late', async () => {
    let isFirst = true;
    const browser = returning(
      fakeBrowser({
        async defer(what) {
          if (what !== 'message' || !isFirst) return;
          isFirst = false;
          await never;
        },
      }),
    );
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const a = world({ browser, answers: [promise] });
    const b = world({ browser });
    const starts = [a.session.start(), b.session.start()];
    await browser.clock.advance(20);
    resolve(granted({ generation: 2 }));
    await browser.clock.advance(200);
    await Promise.all(starts);
    expect([a.status(), b.status()]).toEqual(['signed-in', 'signed-in']);
    expect(b.refresh).not.toHaveBeenCalled();
  });

  it('MT-03 MT-04 MT-13 without messages each tab asks, one after the other', async () => {
    const browser = fakeBrowser();
    const server = fakeServer();
    server.logIn('ann');
    const tabs = [1, 2, 3].map(() =>
      world({ browser: returning(browser), refresh: server.refresh(settled), environment: { openChannel: null } }),
    );
    await Promise.all(tabs.map(({ session }) => session.start()));
    expect(tabs.map(({ status }) => status())).toEqual(['signed-in', 'signed-in', 'signed-in']);
    expect(server.seen).toMatchObject({ refreshes: 3, mostInFlight: 1, reuses: 0 });
  });

  it('MT-01 MT-08 without locks they race, and the server knows', async () => {
    const browser = fakeBrowser();
    const server = fakeServer();
    const a = world({ browser, refresh: server.refresh(settled), environment: { locks: null } });
    const b = world({ browser, refresh: server.refresh(settled), environment: { locks: null } });
    a.session.signIn(server.logIn('ann'));
    await settled();
    expect((await Promise.all([refused(a.core), refused(b.core)])).map(({ kind }) => kind)).toEqual(['ready', 'ready']);
    expect(server.seen.reuses).toBe(0);
  });

  it.each([
    [
      'throw',
      () => {
        throw new DOMException('no', 'SecurityError');
      },
    ],
    ['reject', () => Promise.reject(new DOMException('no', 'SecurityError'))],
    ['never answer', () => never],
  ])('MT-08 locks that %s are done without', async (_how, request) => {
    const { session, core, clock } = world({ environment: { locks: { request } }, lockTimeoutMs: 3000 });
    session.signIn(grantOf());
    const renewal = refused(core);
    await clock.advance(5000);
    expect(await renewal).toEqual({ kind: 'ready' });
  });

  it.each([
    [
      'to open',
      () => {
        throw new Error('no');
      },
    ],
    [
      'to post',
      () => ({
        post: () => {
          throw new Error('no');
        },
        close: () => {},
      }),
    ],
  ])('MT-13 a channel that fails %s is done without', async (_how, openChannel) => {
    const { session, core } = world({ environment: { openChannel } });
    session.signIn(grantOf());
    expect(await refused(core)).toEqual({ kind: 'ready' });
  });

  it('MT-05 a lock that nobody gives back is taken away, once', async () => {
    const browser = fakeBrowser();
    void browser.locks.request('latchkey', {}, () => never).catch(() => {});
    const { session, core, refresh, clock } = world({ browser, lockTimeoutMs: 3000 });
    session.signIn(grantOf());
    const renewal = refused(core);
    await clock.advance(2999);
    expect(refresh).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(await renewal).toEqual({ kind: 'ready' });
    expect(browser.isLocked()).toBe(false);
  });

  it('MT-07 a wait for the lock that was a sleep is made once more', async () => {
    const browser = fakeBrowser();
    const { promise: theirs, resolve } = Promise.withResolvers<void>();
    const holder = browser.locks.request('latchkey', {}, () => theirs);
    const { session, core, refresh, clock } = world({ browser, lockTimeoutMs: 3000 });
    session.signIn(grantOf({ expiresIn: 100_000 }));
    const renewal = refused(core);
    await settled();
    clock.sleep(3_600_000);
    await clock.advance(3000);
    // Not stolen: the holder was asleep too.
    expect(refresh).not.toHaveBeenCalled();
    resolve();
    await holder;
    expect(await renewal).toEqual({ kind: 'ready' });
  });

  it('a holder that was robbed finishes, and does not rob back', async () => {
    const browser = fakeBrowser();
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { session, core, refresh } = world({ browser, answers: [promise] });
    session.signIn(grantOf());
    const renewal = refused(core);
    await settled();
    await browser.locks.request('latchkey', { steal: true }, async () => {});
    resolve(granted({ generation: 2 }));
    expect(await renewal).toEqual({ kind: 'ready' });
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(browser.isLocked()).toBe(false);
  });

  it('MT-09 listeners run without the lock', async () => {
    const { session, core, browser } = world();
    session.signIn(grantOf());
    const locked: boolean[] = [];
    session.subscribe(() => locked.push(browser.isLocked()));
    await refused(core);
    await settled();
    expect(locked).toEqual([false, false]);
  });

  it('MT-09 a listener that another one has removed is not called any more', () => {
    const { session } = world();
    const second = vi.fn<() => void>();
    const stop = { second: () => {} };
    session.subscribe(() => stop.second());
    stop.second = session.subscribe(second);
    session.signIn(grantOf());
    expect(second).not.toHaveBeenCalled();
  });

  it('MT-09 a listener that throws harms neither the others nor the session', async () => {
    const thrown = vi.fn<() => void>();
    process.once('uncaughtException', thrown);
    const { session } = world();
    const later = vi.fn<() => void>();
    const stop = session.subscribe(() => {
      stop();
      throw new Error('a bug in the app');
    });
    session.subscribe(later);
    const before = process.listeners('uncaughtException').filter((listener) => listener !== thrown);
    for (const listener of before) process.off('uncaughtException', listener);
    session.signIn(grantOf());
    await settled();
    for (const listener of before) process.on('uncaughtException', listener);
    expect(later).toHaveBeenCalledTimes(1);
    expect(thrown).toHaveBeenCalledTimes(1);
  });

  it('MT-10 a logout in one tab is a logout in all, and a refresh under way is dropped', async () => {
    const browser = fakeBrowser();
    const a = world({ browser });
    const b = world({ browser, answers: [never] });
    a.session.signIn(grantOf());
    await settled();
    const renewal = refused(b.core);
    await settled();
    void a.session.signOut();
    await settled();
    expect(b.session.state).toEqual({ status: 'signed-out', reason: 'logout' });
    expect(await renewal).toEqual({ kind: 'ended' });
    expect(b.refresh.mock.calls[0]![0].signal.aborted).toBe(true);
    expect(a.logout).toHaveBeenCalledTimes(1);
    expect(b.logout).not.toHaveBeenCalled();
  });

  it('a login in one tab is a login in all', async () => {
    const browser = fakeBrowser();
    const a = world({ browser });
    const b = world({ browser });
    await b.session.start();
    a.session.signIn(grantOf());
    await settled();
    expect(b.session.state).toEqual(a.session.state);
    a.session.signIn(grantOf({ sid: 's2', name: 'bob' }));
    await settled();
    expect(b.session.state).toMatchObject({ user: person('bob'), session: { id: 's2' } });
  });

  it('LO-02 a message that was under way when its session ended brings nothing back', async () => {
    const browser = fakeBrowser();
    const a = world({ browser });
    const b = world({ browser });
    a.session.signIn(grantOf());
    await settled();
    await b.session.signOut();
    const channel = b.tab.environment.openChannel!('latchkey', () => {});
    channel.post({
      v: 1,
      kind: 'token',
      grant: grantOf({ generation: 7 }),
      expiresAt: browser.clock.now() + 60_000,
      at: browser.clock.now() + 1,
    });
    channel.post({
      v: 1,
      kind: 'login',
      grant: grantOf({ generation: 7 }),
      expiresAt: browser.clock.now() + 60_000,
      at: browser.clock.now() - 1,
    });
    await settled();
    expect(a.status()).toBe('signed-out');
  });

  it('LO-02 nor in a tab that does not know yet who is signed in', async () => {
    const browser = fakeBrowser();
    const { session } = world({ browser, answers: [never], environment: { storage: null }, refreshOnFirstVisit: true });
    void session.start();
    await settled();
    const channel = browser.tab().environment.openChannel!('latchkey', () => {});
    const now = browser.clock.now();
    channel.post({ v: 1, kind: 'ended', sid: 's1', reason: 'logout' });
    channel.post({ v: 1, kind: 'token', grant: grantOf(), expiresAt: now + 60_000, at: now });
    await settled();
    expect(session.state).toEqual({ status: 'unknown' });
    channel.post({ v: 1, kind: 'token', grant: grantOf({ sid: 's2' }), expiresAt: now + 60_000, at: now });
    await settled();
    expect(session.state).toMatchObject({ status: 'signed-in', session: { id: 's2' } });
  });

  it('LO-02 a refresh that is answered after the logout of another tab brings nothing back', async () => {
    const browser = fakeBrowser();
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const b = world({ browser: returning(browser), answers: [promise] });
    const start = b.session.start();
    await settled();
    browser.stored.set(
      'latchkey.marker',
      JSON.stringify({ v: 1, sid: 's1', generation: 1, state: 'logout-pending', at: 1 }),
    );
    resolve(granted());
    await start;
    expect(b.session.state.status).toBe('signed-out');
  });

  it.each([
    ['has logged out', { sid: 's1', state: 'ended' }, 'signed-out', 0],
    ['has logged in as somebody else', { sid: 's2', state: 'active' }, 'unknown', 1],
    ['has logged in as somebody else and out again', { sid: 's2', state: 'ended' }, 'signed-out', 0],
  ])(
    'MT-11 a tab that slept while another %s notices before anything is painted',
    async (_what, marker, status, refreshes) => {
      const { session, browser, tab, refresh } = world({ answers: [granted({ sid: 's2', name: 'bob' })] });
      session.signIn(grantOf());
      browser.stored.set('latchkey.marker', JSON.stringify({ v: 1, generation: 1, at: 1, ...marker }));
      tab.show();
      expect(session.state.status).toBe(status);
      await settled();
      expect(refresh).toHaveBeenCalledTimes(refreshes);
      expect(session.state.status === 'signed-in' && session.state.user.username).toBe(refreshes > 0 && 'bob');
    },
  );

  it('MT-11 a signed-out tab notices a login that it slept through', async () => {
    const browser = fakeBrowser();
    const { session, tab } = world({ browser });
    await session.start();
    returning(browser);
    tab.show();
    await settled();
    expect(session.state.status).toBe('signed-in');
  });

  it('SE-08 nonsense on the channel is not listened to', async () => {
    const { session, browser, tab } = world();
    session.signIn(grantOf());
    const { state } = session;
    const channel = browser.tab().environment.openChannel!('latchkey', () => {});
    const grant = grantOf({ generation: 9 });
    for (const message of [
      null,
      1,
      'ended',
      [],
      {},
      { v: 1 },
      { v: 2, kind: 'ended', sid: 's1', reason: 'x' },
      { v: 1, kind: 'ended' },
      { v: 1, kind: 'ended', sid: 's1' },
      { v: 1, kind: 'token', grant },
      { v: 1, kind: 'token', grant: {}, expiresAt: 1e15 },
      { v: 1, kind: 'token', grant, expiresAt: browser.clock.now() - 1 },
      { v: 1, kind: 'login', grant, expiresAt: 1e15 },
      { v: 1, kind: 'user', sid: 's1', user: {} },
      { v: 1, kind: 'need', sid: 's1' },
      { v: 1, kind: 'user', sid: 's9', user: person('x') },
    ])
      channel.post(message);
    await settled();
    expect(session.state).toBe(state);
    tab.fire('wake');
    expect(session.state).toBe(state);
  });

  it('an older copy from another tab is not taken, a later one is', async () => {
    const { session, core, browser } = world();
    session.signIn(grantOf({ generation: 3 }));
    const channel = browser.tab().environment.openChannel!('latchkey', () => {});
    const post = (generation: number, seconds: number, token: string) =>
      channel.post({
        v: 1,
        kind: 'token',
        grant: grantOf({ generation, token }),
        expiresAt: browser.clock.now() + seconds * 1000,
        at: browser.clock.now(),
      });
    post(2, 9000, 'secret-older');
    post(3, 899, 'secret-shorter');
    await settled();
    expect(core.accessToken()).toBe(grantOf({ generation: 3 }).accessToken);
    post(3, 901, 'secret-longer');
    await settled();
    expect(core.accessToken()).toBe('secret-longer');
    post(4, 10, 'secret-next');
    await settled();
    expect(core.accessToken()).toBe('secret-next');
  });
});

describe('a login that comes while another tab asks with the old cookie', () => {
  /** Alone: without a channel, as if every message were late. */
  const alone = { openChannel: null };
  /** Another tab, which says something. */
  const say = (browser: ReturnType<typeof fakeBrowser>, message: object) =>
    browser.tab().environment.openChannel!('latchkey', () => {}).post({ v: 1, ...message });

  it('is not ended by the no to the old one', async () => {
    const browser = returning();
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const asking = world({ browser, answers: [promise], environment: alone });
    const start = asking.session.start();
    await settled();
    const { session } = world({ browser, environment: alone });
    session.signIn(grantOf({ sid: 's2' }));
    resolve({ kind: 'ended', reason: 'revoked' });
    await start;
    expect(browser.marker()).toMatchObject({ sid: 's2', state: 'active' });
    expect(session.state).toMatchObject({ status: 'signed-in', session: { id: 's2' } });
  });

  it('is not given up for a token of the old one', async () => {
    const browser = returning();
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const asking = world({ browser, answers: [promise, granted({ sid: 's2', generation: 2 })], environment: alone });
    const start = asking.session.start();
    await settled();
    browser.clock.sleep(10);
    world({ browser, environment: alone }).session.signIn(grantOf({ sid: 's2' }));
    resolve(granted({ sid: 's1', generation: 2 }));
    await start;
    expect(browser.marker()).toMatchObject({ sid: 's2', state: 'active' });
    // Whose cookie is left, the server tells.
    await browser.clock.advance(0);
    expect(asking.refresh).toHaveBeenCalledTimes(2);
    expect(asking.session.state).toMatchObject({ status: 'signed-in', session: { id: 's2' } });
  });

  it('is not ended by a no that was asked for before its token was handed over', async () => {
    const browser = returning();
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const { session } = world({ browser, answers: [promise] });
    const start = session.start();
    await settled();
    returning(browser, { sid: 's2', at: 1 });
    const now = browser.clock.now();
    say(browser, { kind: 'token', grant: grantOf({ sid: 's2' }), expiresAt: now + 900_000, at: now + 1 });
    await settled();
    expect(session.state).toMatchObject({ session: { id: 's2' } });
    resolve({ kind: 'ended', reason: 'revoked' });
    await start;
    expect(session.state).toMatchObject({ status: 'signed-in', session: { id: 's2' } });
  });

  it('keeps its marker where a tab of the old one is asked for its token', async () => {
    const browser = fakeBrowser();
    world({ browser }).session.signIn(grantOf({ generation: 2 }));
    returning(browser, { sid: 's2', at: browser.clock.now() + 1 });
    say(browser, { kind: 'need', sid: 's1', generation: 1 });
    await settled();
    expect(browser.marker()).toMatchObject({ sid: 's2' });
  });
});

describe('lifecycle', () => {
  it('LC-04 a page that is put away lets go of everything, and comes back', async () => {
    const { session, core, browser, tab, refresh } = world({ answers: [never, granted({ generation: 2 })] });
    session.signIn(grantOf());
    const renewal = refused(core);
    await settled();
    tab.fire('hide');
    expect(await renewal).toMatchObject({ kind: 'unavailable' });
    await settled();
    expect(browser.count()).toEqual({ timers: 0, channels: 0, listeners: 1, locks: 0 });
    tab.fire('show');
    await settled();
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject({ stale: false });
    expect(browser.count()).toMatchObject({ channels: 1 });
  });

  it('LC-09 keeps Node only as long as somebody waits', async () => {
    const setTimer = vi.spyOn(globalThis, 'setTimeout');
    const keeps = () => setTimer.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef());
    const session = createSession({ name: 'node', refresh: () => never, logout: async () => {} });
    sessions.push(session);
    session.signIn(grantOf());
    expect(keeps()).toEqual([false]);
    const renewal = refused(coreOf(session));
    // Of the lock or of the request, whichever it waits for by now.
    expect(keeps().some((keep) => keep)).toBe(true);
    session.dispose();
    await renewal;
    setTimer.mockRestore();
  });

  it('LC-02 LO-10 a session that was disposed leaves nothing', async () => {
    const { session, core, browser, told } = world({ answers: [never], logout: () => never });
    session.signIn(grantOf());
    const renewal = refused(core);
    await settled();
    told.mockClear();
    session.dispose();
    session.dispose();
    expect(await renewal).toEqual({ kind: 'disposed' });
    await settled();
    expect(browser.count()).toEqual({ timers: 0, channels: 0, listeners: 0, locks: 0 });
    expect(core.accessToken()).toBeUndefined();
    session.signIn(grantOf({ sid: 's2' }));
    await session.signOut();
    await session.start();
    expect(await refused(core)).toEqual({ kind: 'disposed' });
    expect(core.needsRenewal()).toBe(false);
    expect(browser.count()).toEqual({ timers: 0, channels: 0, listeners: 0, locks: 0 });
  });

  it('disposing while logging out settles that too', async () => {
    const { session, browser } = world({ logout: () => never });
    session.signIn(grantOf());
    const done = session.signOut();
    await settled();
    session.dispose();
    await done;
    expect(browser.count()).toEqual({ timers: 0, channels: 0, listeners: 0, locks: 0 });
  });

  it('the state is the same object until it changes', async () => {
    const { session, core } = world({
      answers: [granted({ generation: 1, token: 'secret-rested' })],
      proactive: false,
    });
    session.signIn(grantOf());
    const before = session.state;
    expect(session.state).toBe(before);
    await refused(core);
    expect(session.state).toEqual(before);
  });

  it('SE-01 nothing but the memory holds a token', async () => {
    const { session, core, browser } = world();
    session.signIn(grantOf());
    await refused(core);
    expect([...browser.stored.values()].join()).not.toContain('secret');
    expect(JSON.stringify(session.state)).not.toContain('secret');
    expect(JSON.stringify(core.stamp())).not.toContain('secret');
  });
});

describe('the browser as it is', () => {
  it('two sessions of one name in one process are two tabs', async () => {
    const server = fakeServer();
    const name = `test-${crypto.randomUUID()}`;
    const make = () => createSession({ name, refresh: server.refresh(), logout: server.logout() });
    const [a, b] = [make(), make()];
    sessions.push(a, b);
    server.logIn('ann');
    await Promise.all([a.start(), b.start()]);
    expect(server.seen).toMatchObject({ mostInFlight: 1, reuses: 0 });
    // Without a storage too, one asks and the other hears of it.
    expect(server.seen.refreshes).toBe(1);
    const heard = new Promise<void>((resolve) => b.subscribe(resolve));
    await a.signOut();
    await heard;
    expect(b.state).toEqual({ status: 'signed-out', reason: 'logout' });
  });
});

describe('no timeout at all', () => {
  it('is no timeout of one millisecond', async () => {
    const { promise, resolve } = Promise.withResolvers<RefreshOutcome>();
    const session = createSession({
      name: `test-${crypto.randomUUID()}`,
      refresh: () => promise,
      logout: async () => {},
      refreshTimeoutMs: Infinity,
    });
    sessions.push(session);
    const start = session.start();
    // A timer that was set after the one that must not fire.
    await new Promise((settle) => setTimeout(settle, 20));
    resolve(granted());
    await start;
    expect(session.state.status).toBe('signed-in');
  });
});
