import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openAdmin } from './support/admin.ts';
import { createAccount } from './support/api.ts';
import { ada, grace } from './support/people.ts';
import { startProduct, type RunningServer } from './support/server.ts';
import { visitor } from './support/visitor.ts';

const DAY_MS = 24 * 60 * 60_000;
/** Not longer ago than events are kept: a server that has just started may still be purging. */
const LONG_AGO_MS = Date.now() - 30 * DAY_MS;
const longAgo = (addedDays: number) => new Date(LONG_AGO_MS + addedDays * DAY_MS).toISOString().slice(0, 16);

/** Events a minute apart, the last of them long ago. */
const addEvents = (server: RunningServer, count: number) =>
  server.query(`with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${count})
     insert into audit_events (at, type, detail) select ${LONG_AGO_MS} - (${count} - n) * 60000, 'limited', '' || n from numbers`);

describe('the audit', () => {
  it('is filtered by person, type and time, and the filter is in the address', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await createAccount(server, ada);
    await addEvents(server, 3);
    const page = await browser.tab();
    await openAdmin(server, page);
    await page.getByRole('link', { name: 'Audit', exact: true }).click();
    const events = page.getByRole('region', { name: 'Events' }).getByRole('listitem');
    await page.getByText('6 events', { exact: true }).waitFor();
    expect(await events.first().textContent()).toContain(`${grace.username} logged in.`);
    expect(await events.last().textContent()).toContain('Too many attempts from one network were refused.');
    expect(await events.last().textContent()).toContain(String(new Date(LONG_AGO_MS).getFullYear()));

    const apply = page.getByRole('button', { name: 'Filter' });
    await page.getByLabel('Event', { exact: true }).selectOption('Account created');
    await apply.click();
    await page.getByText('2 events', { exact: true }).waitFor();
    await events.getByRole('link', { name: ada.username }).click();
    await page.getByRole('heading', { name: ada.username, level: 1 }).waitFor();
    await page.getByRole('link', { name: 'Filter or export' }).click();
    await page.getByText('1 event', { exact: true }).waitFor();
    expect(await page.getByLabel('Person').inputValue()).not.toBe('');

    await page.getByRole('link', { name: 'Show everything' }).click();
    await page.getByText('6 events', { exact: true }).waitFor();
    expect(await page.getByLabel('Person').inputValue()).toBe('');
    await page.getByLabel('From').fill(longAgo(-2));
    await page.getByLabel('Until').fill(longAgo(2));
    await apply.click();
    await page.getByText('3 events', { exact: true }).waitFor();
    await page.reload();
    await page.getByText('3 events', { exact: true }).waitFor();
    expect(await page.getByLabel('From').inputValue()).toBe(longAgo(-2));
    await page.getByLabel('Until').fill(longAgo(-1));
    await apply.click();
    await page.getByRole('status').getByText('Nothing has been recorded.').waitFor();
  });

  it('is exported as NDJSON, all that matches and not only what is shown', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await addEvents(server, 2500);
    const page = await browser.tab();
    await openAdmin(server, page);
    await page.goto('/admin/audit?type=limited');
    await page.getByText('50 events so far').waitFor();
    const before = browser.calls('admin.audit');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Export as NDJSON' }).click(),
    ]);
    await page.getByRole('status').getByText('Downloaded: 2,500 events.').waitFor();
    expect(browser.calls('admin.audit')).toBe(before + 3);
    expect(download.suggestedFilename()).toMatch(/^latchkey-audit-\d{4}-\d\d-\d\d\.ndjson$/);
    const lines = (await readFile(await download.path(), 'utf8')).trimEnd().split('\n');
    const details = lines.map((line) => Number((JSON.parse(line) as { detail: string }).detail));
    expect(details).toEqual(Array.from({ length: 2500 }, (_, index) => 2500 - index));
  });

  it('shows how far an export is, which can be cancelled, and says when it fails', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await addEvents(server, 1500);
    const page = await browser.tab();
    await openAdmin(server, page);
    await page.goto('/admin/audit?type=limited');
    await page.getByText('50 events so far').waitFor();
    browser.expectFault(/ERR_ABORTED|ERR_FAILED|ERR_CONNECTION_REFUSED/);
    let downloads = 0;
    page.on('download', () => (downloads += 1));

    // The second page never comes.
    const isSecond = (url: URL) => url.pathname.includes('admin.audit') && url.search.includes('cursor');
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    await page.route(isSecond, () => resolve());
    const output = page.getByRole('status');
    await page.getByRole('button', { name: 'Export as NDJSON' }).click();
    await asked;
    await output.getByText('1,000 events so far…').waitFor();
    await page.getByRole('button', { name: 'Cancel export' }).click();
    await output.getByText('Cancelled. Nothing was downloaded.').waitFor();
    expect(await page.locator(':focus').textContent()).toBe('Export as NDJSON');

    await page.unroute(isSecond);
    await page.route(isSecond, (route) => route.abort('connectionrefused'));
    await page.getByRole('button', { name: 'Export as NDJSON' }).click();
    await output.getByText('We cannot reach the server.').waitFor();
    expect(downloads).toBe(0);
  });
});
