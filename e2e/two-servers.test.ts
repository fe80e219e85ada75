import { describe, expect, it } from 'vitest';
import { testDatabase } from '../src/server/testing/test-database.ts';
import { call } from './support/api.ts';
import { glance, lookAway } from './support/attention.ts';
import { balancerBefore } from './support/balancer.ts';
import { ada, register, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { collectTokens, expired } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';
import { watchPages } from './support/witness.ts';

describe('two servers behind a load balancer, which answer in turn', () => {
  it('are one to a person, who does not notice when one of them is killed', async () => {
    await using database = await testDatabase();
    const settings = { DATABASE_URL: database.url, ACCESS_TOKEN_EXPIRY: '2s' };
    await using first = await startProduct({ settings });
    await using second = await startProduct({ settings });
    const servers = [first, second];
    await using balancer = await balancerBefore(servers);
    await using browser = await visitor(balancer.url);
    const tokens = collectTokens(browser.context);
    // By the clock of the page a token lives slightly longer: for as long as its answer took.
    browser.expectFault(/401.*auth\.me/);
    const page = await browser.tab();
    const sights = await watchPages(page);
    const isStream = (response: { url(): string }) => response.url().includes('auth.sessionEvents');
    await register(page, ada);

    /** Has the page renew its token and fetch again what it shows. */
    async function goOn(expiries: number): Promise<void> {
      for (let count = 0; count < expiries; count++) {
        await expired(tokens.at(-1)!);
        const answer = page.waitForResponse((response) => response.url().includes('auth.me') && response.ok());
        await glance(page);
        await answer;
        await seesDashboardOf(page, ada);
      }
    }

    await lookAway(page);
    await goOn(4);
    for (const procedure of ['auth.refresh', 'auth.me']) {
      const answered = balancer.answers.filter(({ path }) => path.includes(procedure));
      expect(new Set(answered.map(({ server }) => server))).toEqual(new Set([0, 1]));
    }

    // Visible again, the page opens its stream. The server that holds it is killed.
    const stream = page.waitForResponse(isStream);
    await page.reload();
    await seesDashboardOf(page, ada);
    await stream;
    const killed = balancer.answers.findLast(({ path }) => path.includes('auth.sessionEvents'))!.server;
    // With whatever it is answering just then: its stream, and perhaps a refresh.
    browser.expectFault(/ERR_INCOMPLETE_CHUNKED_ENCODING|\b502\b.*auth\.(refresh|sessionEvents)/);
    const reopened = page.waitForResponse(isStream);
    servers[killed]!.signal('SIGKILL');
    await servers[killed]!.exited;
    const before = balancer.answers.length;
    await reopened;
    await lookAway(page);
    await goOn(3);
    const after = balancer.answers.slice(before);
    expect(after.map(({ server }) => server)).toEqual(after.map(() => 1 - killed));
    // No other page was shown, not for a moment.
    expect(await sights()).toEqual([{ path: '/dashboard', heading: 'Dashboard' }]);

    const again = page.waitForResponse(isStream);
    await page.reload();
    await seesDashboardOf(page, ada);
    await again;
    // Where a refresh is under way, it hears of the end before the stream.
    browser.expectFault(/401.*auth\.refresh/);
    const headers = { authorization: `Bearer ${tokens.at(-1)}` };
    expect((await call(servers[1 - killed]!, 'auth.logout', { headers })).status).toBe(200);
    await seesLogin(page);
  });
});
