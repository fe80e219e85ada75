import { describe, expect, it } from 'vitest';
import { call } from './support/api.ts';
import { sessionsOf } from './support/database.ts';
import { ada, logOut, register, seesLogin, sendRegistration } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { keepApart } from './support/tabs.ts';
import { refreshTokenOf } from './support/tokens.ts';
import { visitor } from './support/visitor.ts';
import { watchPages } from './support/witness.ts';
import { wireTo } from './support/wire.ts';

describe('a logout', () => {
  it('stays effective when the response to a refresh arrives afterwards', async () => {
    await using server = await startProduct({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using wire = await wireTo(server);
    await using browser = await visitor(wire.url);
    browser.expectFault(/401.*auth\.me|auth\.refresh: net::ERR_ABORTED/);
    const answer = wire.stop('auth.refresh');
    const page = await browser.tab();
    // Not until the dashboard is shown: what it shows may wait for this refresh.
    await sendRegistration(page, ada);
    expect((await answer.here).statusCode).toBe(200);
    await logOut(page);
    answer.deliver();

    const sights = await watchPages(page);
    await page.goto('/dashboard');
    await seesLogin(page);
    expect(await sights()).not.toContainEqual(expect.objectContaining({ heading: 'Dashboard' }));
    expect(browser.calls('auth.refresh')).toBe(1);
    expect(await refreshTokenOf(browser.context)).toBeUndefined();
    expect(await sessionsOf(server)).toMatchObject([{ generation: 2, end_reason: 'revoked' }]);
  });

  it('stays effective in a tab that refreshes without hearing of it', async () => {
    await using server = await startProduct();
    await using wire = await wireTo(server);
    await using browser = await visitor(wire.url);
    await keepApart(browser.context);
    const page = await browser.tab();
    await register(page, ada);
    const other = await browser.tab();
    const sights = await watchPages(other);
    const answer = wire.stop('auth.refresh');
    await other.goto('/dashboard');
    expect((await answer.here).statusCode).toBe(200);
    await logOut(page);
    answer.deliver();
    await seesLogin(other);
    expect(await sights()).not.toContainEqual(expect.objectContaining({ heading: 'Dashboard' }));

    // Its cookie arrived after the logout, and is worthless.
    const cookie = `__Host-refreshToken=${await refreshTokenOf(browser.context)}`;
    const refresh = await call(server, 'auth.refresh', { headers: { cookie } });
    expect(await refresh.json()).toMatchObject({ error: { data: { failure: { reason: 'revoked' } } } });
    // The server says that a cookie came along, so the page asks, and is refused.
    browser.expectFault(/401.*auth\.refresh/);
    for (const tab of [page, other]) {
      await tab.reload();
      await seesLogin(tab);
    }
    expect(await sessionsOf(server)).toMatchObject([{ generation: 2, end_reason: 'revoked' }]);
  });
});
