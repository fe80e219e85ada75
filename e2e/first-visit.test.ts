import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { ada, fillIn, register, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** Everything that the browser fetches, gzipped. To stay below it, move code out of the first visit. */
const FIRST_VISIT_MAX_BYTES = 130_000;

/** Bytes of each file that a visit to `path` downloads, gzipped. */
async function downloadsOf(page: Page, path: string): Promise<Record<string, number>> {
  const bodies: Promise<[name: string, bytes: number]>[] = [];
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    bodies.push(response.body().then((body) => [pathname, gzipSync(body).length]));
  });
  await page.goto(path, { waitUntil: 'networkidle' });
  return Object.fromEntries(await Promise.all(bodies));
}

const isDashboard = (url: URL) => /^dashboard-.*\.js$/.test(basename(url.pathname));

describe('a first visit', () => {
  it('downloads little, and nothing that only members need', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    const downloads = await downloadsOf(page, '/login');
    await seesLogin(page);
    const total = Object.values(downloads).reduce((sum, bytes) => sum + bytes, 0);
    expect(total).toBeLessThan(FIRST_VISIT_MAX_BYTES);
    // All referenced by the page itself, so that none waits for another.
    const named = await (await page.request.get('/login')).text();
    const scripts = Object.keys(downloads).filter((path) => path.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(0);
    expect(scripts.filter((path) => !named.includes(path))).toEqual([]);
  });

  it('downloads the page for members while the password is checked', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await register(await browser.tab(), ada);
    await using other = await visitor(server.url);
    const fresh = await other.tab();
    await fresh.goto('/login');
    await seesLogin(fresh);
    // The login waits for the page, which must have been requested before.
    const loaded = fresh.waitForEvent('requestfinished', (request) => isDashboard(new URL(request.url())));
    await fresh.route('**/trpc/auth.login', async (route) => {
      await loaded;
      await route.continue();
    });
    await sendLogin(fresh, ada);
    await seesDashboardOf(fresh, ada);
  });

  it('downloads the page for members while the session starts', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await using second = await visitor(server.url, { storageState: await browser.context.storageState() });
    const fresh = await second.tab();
    const loaded = fresh.waitForEvent('requestfinished', (request) => isDashboard(new URL(request.url())));
    await fresh.route('**/trpc/auth.refresh', async (route) => {
      await loaded;
      await route.continue();
    });
    await fresh.goto('/dashboard');
    await seesDashboardOf(fresh, ada);
  });
});

describe('a page that cannot be downloaded', () => {
  it('shows an error, and works after a reload', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/register');
    await page.getByRole('heading', { level: 1 }).waitFor();
    // As after a deploy, which removes the files of the version before.
    browser.expectFault(/\/assets\/dashboard-/);
    // Reported to window.onerror, without a stack.
    browser.expectFault(/^exception: $/);
    await page.route(isDashboard, (route) => route.fulfill({ status: 404 }));
    await fillIn(page, ada);
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('alert').getByText('This page could not be loaded.').waitFor();
    await page.unroute(isDashboard);
    await page.getByRole('button', { name: 'Reload' }).click();
    await seesDashboardOf(page, ada);
  });
});

describe('logging out', () => {
  it('shows the login page offline, even if this page has never shown it', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    browser.expectFault(/ERR_INTERNET_DISCONNECTED/);
    await page.reload();
    await seesDashboardOf(page, ada);
    await browser.context.setOffline(true);
    await page.getByRole('button', { name: 'Log out' }).click();
    await seesLogin(page);
  });
});
