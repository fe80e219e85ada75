import { expect, test } from 'vitest';
import { sessionsOf } from './support/database.ts';
import { ada, register, seesDashboardOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { refreshTokenOf } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';
import { wireTo } from './support/wire.ts';

const isRefresh = (request: { url(): string }) => request.url().endsWith('auth.refresh');

test.each(['once', 'three times in a row'])(
  'when the answer to a refresh is lost %s, after the server has renewed the session, nobody is logged out',
  async (often) => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using wire = await wireTo(server);
    await using browser = await visitor(wire.url);
    browser.expectFault(/ERR_EMPTY_RESPONSE/);
    // The reload at the end cuts off what is under way.
    browser.expectFault(/401.*auth\.me| net::ERR_ABORTED/);
    // Before anything can expire: the very first refresh is among the lost, the one that makes a new generation.
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

    // The page asks again by itself, with the cookie of before.
    expect((await next.here).statusCode).toBe(200);
    expect(sessionsOf(server)).toMatchObject([{ generation: 2, end_reason: null }]);
    const answered = page.waitForEvent('requestfinished', isRefresh);
    next.deliver();
    await answered;
    expect(await refreshTokenOf(browser.context)).not.toBe(cookie);
    await page.reload();
    await seesDashboardOf(page, ada);
    expect(sessionsOf(server)).toMatchObject([{ end_reason: null }]);
  },
);

test('a page that is reloaded again and again, before the answer to its refresh has come, is still logged in', async () => {
  await using server = await startProduct();
  await using wire = await wireTo(server);
  await using browser = await visitor(wire.url);
  const page = await browser.tab();
  await register(page, ada);
  const cookie = await refreshTokenOf(browser.context);

  // Whatever else is under way.
  browser.expectFault(/ net::ERR_ABORTED/);
  const answers = Array.from({ length: 3 }, () => wire.stop('auth.refresh'));
  for (const answer of answers) {
    await page.reload();
    expect((await answer.here).headers['set-cookie']).toHaveLength(1);
    expect(await refreshTokenOf(browser.context)).toBe(cookie);
  }
  await page.reload();
  // Too late: the pages that would have taken them are gone.
  for (const answer of answers) answer.deliver();
  await seesDashboardOf(page, ada);
  expect(sessionsOf(server)).toMatchObject([{ generation: 2, end_reason: null }]);
});
