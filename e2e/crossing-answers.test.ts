import { describe, expect, it } from 'vitest';
import { glance } from './support/attention.ts';
import { sessionsOf } from './support/database.ts';
import { ada, register, seesDashboardOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { keepApart } from './support/tabs.ts';
import { generationOf, refreshTokenOf } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

describe('two tabs', () => {
  it('that refresh with the same cookie and get responses in reverse order both stay logged in', async () => {
    await using server = await startProduct();
    await using wire = await wireTo(server);
    await using browser = await visitor(wire.url);
    await keepApart(browser.context);
    const first = await browser.tab();
    await register(first, ada);
    const second = await browser.tab();

    const [early, late] = [wire.stop('auth.refresh'), wire.stop('auth.refresh')];
    await first.reload();
    await early.here;
    await second.goto('/dashboard');
    // With a cookie too, because the one it sent is no longer current.
    expect((await late.here).headers['set-cookie']).toHaveLength(1);
    late.deliver();
    await seesDashboardOf(second, ada);
    early.deliver();
    await seesDashboardOf(first, ada);

    // Whichever came last, the stored cookie works for the next refresh.
    const [session] = await sessionsOf(server);
    const cookie = await refreshTokenOf(browser.context);
    expect(generationOf(cookie!)).toBe(session!.generation);
    for (const tab of [first, second]) {
      const answer = tab.waitForResponse(/auth\.me/);
      await glance(tab);
      expect((await answer).status()).toBe(200);
      await tab.reload();
      await seesDashboardOf(tab, ada);
    }
    expect(await sessionsOf(server)).toMatchObject([{ end_reason: null }]);
  });
});
