import { describe, expect, it } from 'vitest';
import { settled } from '../testing/fake-browser.ts';
import { grantOf } from '../testing/fake-server.ts';
import { granted, MINUTE_MS, never, openTab } from '../testing/open-tab.ts';

const signedIn = (expiresIn: number, options: Parameters<typeof openTab>[0] = {}) => {
  const opened = openTab({ answers: [granted({ generation: 2, expiresIn })], ...options });
  opened.session.signIn(grantOf({ expiresIn }));
  return opened;
};

describe('refreshing ahead of time', () => {
  it('PR-01 happens a minute before the token expires', async () => {
    const { refresh, clock, listener } = signedIn(900);
    await clock.advance(14 * MINUTE_MS - 1);
    expect(refresh).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(refresh).toHaveBeenCalledTimes(1);
    // Never stale in between: nothing to see.
    expect(listener.mock.calls.map(([state]) => state.status === 'signed-in' && state.stale)).toEqual([false, false]);
  });

  it('PR-01 happens as early as the app wants', () => {
    const lead = { leadMs: 30_000, jitterMs: 0 };
    expect(signedIn(60, { proactive: lead }).clock.delays()).toEqual([30_000]);
    expect(signedIn(600, { proactive: lead }).clock.delays()).toEqual([570_000]);
    expect(signedIn(20, { proactive: lead }).clock.delays()).toEqual([15_000]);
  });

  it('PR-01 MT-15 PR-09 does not happen in a hidden page until it is looked at', async () => {
    const { refresh, clock, tab } = signedIn(900);
    tab.hide();
    await clock.advance(60 * MINUTE_MS);
    expect(refresh).not.toHaveBeenCalled();
    tab.show();
    await settled();
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('does not happen if the app does not want it', async () => {
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
  ])('PR-04 happens for a token of %i s after %i ms, never in a loop', async (expiresIn, ms) => {
    const { clock } = signedIn(expiresIn);
    expect(clock.delays()).toEqual([ms]);
  });

  it('sets a timer longer than setTimeout can count in parts', async () => {
    const { refresh, clock } = signedIn(30 * 24 * 3600);
    await clock.advance(2 ** 31);
    expect(refresh).not.toHaveBeenCalled();
    await clock.advance(30 * 24 * 3_600_000 - 2 ** 31);
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('PR-10 is spread, always to earlier', () => {
    const { clock } = signedIn(900, { environment: { random: () => 0.5 } });
    expect(clock.delays()).toEqual([835_000]);
  });

  it('PR-07 fails silently, and is tried again', async () => {
    const { session, core, clock, refresh, listener } = openTab({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    listener.mockClear();
    await clock.advance(14 * MINUTE_MS);
    expect(listener).not.toHaveBeenCalled();
    expect(core.needsRenewal()).toBe(false);
    await clock.advance(1000);
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject({ stale: false, session: { generation: 2 } });
  });

  it('SF-05 does not hold back operations', async () => {
    const { session, core, clock } = openTab({ answers: [never] });
    session.signIn(grantOf());
    await clock.advance(14 * MINUTE_MS);
    expect(core.needsRenewal()).toBe(false);
  });
});

describe('clocks', () => {
  it('PR-05 a sleep counts, although no timer fires', () => {
    const { core, clock } = signedIn(900);
    clock.sleep(20 * MINUTE_MS);
    expect(core.needsRenewal()).toBe(true);
  });

  it('PR-06 set back hide no expiry, and cause no loop', async () => {
    const { core, clock, tab, refresh } = signedIn(900);
    clock.setWall(0);
    await clock.advance(14 * MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(1);
    tab.hide();
    await clock.advance(15 * MINUTE_MS);
    expect(core.needsRenewal()).toBe(true);
    tab.show();
    await clock.advance(MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(2);
  });

  it('PR-06 set forward cost one refresh', async () => {
    const { core, clock, refresh, refused } = signedIn(900);
    clock.setWall(clock.now() + 3_600_000);
    expect(await refused()).toEqual({ kind: 'ready' });
    expect(core.needsRenewal()).toBe(false);
    await clock.advance(MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(1);
  });
});

describe('the network', () => {
  it('LC-06 is not asked while offline, and once when online again', async () => {
    const { session, refused, refresh, clock, tab } = openTab({
      answers: [new TypeError('offline'), granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    tab.page.online = false;
    await refused();
    await clock.advance(10 * MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(1);
    tab.page.online = true;
    tab.fire('online');
    tab.fire('online');
    await settled();
    expect(refresh).toHaveBeenCalledTimes(2);
    expect(session.state).toMatchObject({ stale: false });
  });

  it('LC-10 is asked at most once per pause, however often the page is looked at', async () => {
    const { session, refused, refresh, tab } = openTab({ answers: [new TypeError('offline')] });
    session.signIn(grantOf());
    await refused();
    for (let i = 0; i < 20; i++) {
      tab.show();
      await settled();
    }
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it('SU-12 is asked in a hidden tab for a stream that waits, and for nothing else', async () => {
    const { session, core, refused, refresh, clock, tab } = openTab({
      answers: [new TypeError('offline'), new TypeError('offline'), granted({ generation: 2 })],
    });
    session.signIn(grantOf());
    tab.hide();
    await refused();
    await clock.advance(10 * MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(1);
    let renewals = 0;
    const cancel = core.onceRenewed(() => renewals++);
    await clock.advance(500);
    expect(refresh).toHaveBeenCalledTimes(2);
    cancel();
    await clock.advance(10 * MINUTE_MS);
    expect(refresh).toHaveBeenCalledTimes(2);
    core.onceRenewed(() => renewals++);
    await clock.advance(500);
    expect(refresh).toHaveBeenCalledTimes(3);
    expect(renewals).toBe(1);
  });
});
