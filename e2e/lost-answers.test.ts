import { describe, expect, it } from 'vitest';
import { sessionsOf } from './support/database.ts';
import { ada, register, seesDashboardOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { refreshTokenOf } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

const isRefresh = (request: { url(): string }) => request.url().endsWith('auth.refresh');

describe('a refresh whose response is lost', () => {
  it.each(['once', 'three times in a row'])('%s, after the server has rotated, logs nobody out', async (often) => {
    // Long enough to show the dashboard with the first token: it would wait for a refresh that is held.
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '4s' } });
    await using wire = await wireTo(server);
    await using browser = await visitor(wire.url);
    browser.expectFault(/ERR_EMPTY_RESPONSE/);
    // The reload at the end aborts what is in flight.
    browser.expectFault(/401.*auth\.me| net::ERR_ABORTED/);
    // Set up before anything can expire: the first refresh, which rotates, is among those lost.
    const lost = Array.from({ length: often === 'once' ? 1 : 3 }, () => wire.stop('auth.refresh'));
    const next = wire.stop('auth.refresh');
    const page = await browser.tab();
    await register(page, ada);
    const cookie = await refreshTokenOf(browser.context);

    for (const answer of lost) {
      const { statusCode, headers } = await answer.here;
      expect(statusCode).toBe(200);
      expect(headers['set-cookie']).toHaveLength(1);
      const failed = page.waitForEvent('requestfailed', isRefresh);
      answer.lose();
      await failed;
      expect(await refreshTokenOf(browser.context)).toBe(cookie);
      await seesDashboardOf(page, ada);
    }

    // The page retries on its own, with the old cookie.
    expect((await next.here).statusCode).toBe(200);
    expect(await sessionsOf(server)).toMatchObject([{ generation: 2, end_reason: null }]);
    const answered = page.waitForEvent('requestfinished', isRefresh);
    next.deliver();
    await answered;
    expect(await refreshTokenOf(browser.context)).not.toBe(cookie);
    await page.reload();
    await seesDashboardOf(page, ada);
    expect(await sessionsOf(server)).toMatchObject([{ end_reason: null }]);
  });

  it('because the page is reloaded repeatedly logs nobody out', async () => {
    await using server = await startProduct();
    await using wire = await wireTo(server);
    await using browser = await visitor(wire.url);
    const page = await browser.tab();
    await register(page, ada);
    const cookie = await refreshTokenOf(browser.context);

    // Whatever else is in flight.
    browser.expectFault(/ net::ERR_ABORTED/);
    const answers = Array.from({ length: 3 }, () => wire.stop('auth.refresh'));
    for (const answer of answers) {
      await page.reload();
      expect((await answer.here).headers['set-cookie']).toHaveLength(1);
      expect(await refreshTokenOf(browser.context)).toBe(cookie);
    }
    await page.reload();
    // Too late: the requesting pages are gone.
    for (const answer of answers) answer.deliver();
    await seesDashboardOf(page, ada);
    expect(await sessionsOf(server)).toMatchObject([{ generation: 2, end_reason: null }]);
  });
});
