import { basename } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { confirmDialog, openAdmin, openPerson } from './support/admin.ts';
import { ada, grace, register, seesDashboardOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { waitForTitle } from './support/title.ts';
import { visitor } from './support/visitor.ts';

/** Long before the page would find out by itself: a stream looks at the database about every ten seconds. */
const SOON_MS = 5_000;

async function setRole(page: Page, role: string): Promise<void> {
  await page.getByLabel('Role').selectOption(role);
  await page.getByRole('button', { name: 'Save role' }).click();
  const saved = page.waitForEvent('requestfinished', (request) => request.url().includes('admin.setRole'));
  await confirmDialog(page, 'Change role');
  await saved;
}

const isForbidden = (page: Page) => page.getByRole('heading', { name: 'You are not allowed to see this page' });

describe('the role of a person', () => {
  it('shows in their navigation and pages at once, given or taken', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await using theirs = await visitor(server.url);
    const member = await theirs.tab();
    const listens = member.waitForResponse(/auth\.sessionEvents/);
    await register(member, ada);
    await listens;
    const link = member.getByRole('link', { name: 'Admin' });
    expect(await link.count()).toBe(0);
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, ada.username);

    await setRole(page, 'Admin');
    await link.waitFor({ timeout: SOON_MS });
    await page.getByRole('status').getByText(`${ada.username} is now: Admin.`).waitFor();
    expect(await page.locator(':focus').textContent()).toBe('Save role');
    await link.click();
    await member.getByRole('heading', { name: 'People' }).waitFor();
    await member.getByText('2 people', { exact: true }).waitFor();

    await setRole(page, 'User');
    await isForbidden(member).waitFor({ timeout: SOON_MS });
    expect(await link.count()).toBe(0);
    expect(await member.getByText(grace.email).count()).toBe(0);
    await member.getByRole('link', { name: 'Go to the dashboard' }).click();
    await seesDashboardOf(member, ada);

    const told = `${grace.username} changed the role of ${ada.username}: admin → user.`;
    await page.getByRole('region', { name: 'Audit' }).getByText(told).waitFor();
  });

  it('cannot be taken from the last admin, who cannot be disabled either', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/409.*admin\.set(Role|Disabled)/);
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, grace.username);
    const dialog = page.getByRole('dialog');
    const refusal = dialog.getByRole('alert').getByText('Nobody would be left who can administer this site.');

    await setRole(page, 'User');
    await refusal.waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Disable account' }).click();
    await confirmDialog(page, 'Disable');
    await refusal.waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('link', { name: 'Admin' }).waitFor();
  });
});

describe('a person who is no admin', () => {
  it('is told so on the pages for admins, with a way back, and asks the server for nothing', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    for (const path of ['/admin', '/admin/people', '/admin/people/x', '/admin/audit']) {
      await page.goto(path);
      await isForbidden(page).waitFor();
      await waitForTitle(page, 'Not allowed');
    }
    await page.getByRole('link', { name: 'Go to the dashboard' }).click();
    await seesDashboardOf(page, ada);
    expect(browser.requests.filter((request) => request.url().includes('/trpc/admin.'))).toEqual([]);
  });

  it('downloads nothing that only admins need, wherever they go', async () => {
    await using server = await startProduct();
    // Each file that an admin needs.
    await using admins = await visitor(server.url);
    const page = await admins.tab();
    await openAdmin(server, page);
    await openPerson(page, grace.username);
    await page.getByRole('link', { name: 'Audit', exact: true }).click();
    await page.getByRole('heading', { name: 'Audit', level: 1 }).waitFor();
    await page.getByRole('link', { name: 'Account', exact: true }).click();
    await page.getByRole('heading', { name: 'Account', exact: true }).waitFor();
    const forAdmins = scriptsOf(admins.requests);

    await using members = await visitor(server.url);
    const member = await members.tab();
    await register(member, ada);
    for (const path of ['/account', '/admin', '/admin/people', '/admin/audit', '/dashboard']) {
      await member.goto(path);
      await member.getByRole('heading', { level: 1 }).waitFor();
    }
    const forMembers = scriptsOf(members.requests);
    const only = [...forAdmins].filter((name) => !forMembers.has(name));
    for (const name of ['people-page', 'person-page', 'audit-page'])
      expect(only.filter((file) => file.startsWith(name))).toHaveLength(1);
    // No file in common speaks of what is for admins.
    for (const name of forMembers) {
      const script = await (await member.request.get(`/assets/${name}`)).text();
      for (const phrase of ['Export as NDJSON', 'End all sessions', 'The beginning of a username'])
        expect({ name, phrase, isIn: script.includes(phrase) }).toEqual({ name, phrase, isIn: false });
    }
  });
});

const scriptsOf = (requests: readonly { url(): string }[]) =>
  new Set(requests.map((request) => basename(new URL(request.url()).pathname)).filter((name) => name.endsWith('.js')));
