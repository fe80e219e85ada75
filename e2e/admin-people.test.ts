import { describe, expect, it } from 'vitest';
import { addPeople, confirmDialog, doAndConfirm, openAdmin, openPerson } from './support/admin.ts';
import { confirmWith, letProofsAge } from './support/account.ts';
import { createAccount } from './support/api.ts';
import { linkIn, mailServer } from './support/mail.ts';
import { ada, grace, logIn, register, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** Long before the page would find out by itself: a stream looks at the database about every ten seconds. */
const SOON_MS = 5_000;

describe('the list of people', () => {
  it('finds people by the beginning of a username or an email, and keeps the search in the address', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await createAccount(server, ada);
    await addPeople(server, 3);
    const page = await browser.tab();
    await openAdmin(server, page);
    const rows = page.getByRole('rowheader');
    await page.getByText('5 people', { exact: true }).waitFor();
    expect(await rows.allTextContents()).toEqual([ada.username, grace.username, 'p001', 'p002', 'p003']);
    expect(await page.getByRole('row', { name: grace.username }).textContent()).toContain('Admin');

    for (const [search, found] of [
      ['ADA.', [ada.username]],
      ['p00', ['p001', 'p002', 'p003']],
      ['grace@EX', [grace.username]],
    ] as const) {
      await page.getByLabel('Search').fill(search);
      await page.keyboard.press('Enter');
      await page.getByText(found.length === 1 ? '1 person' : `${found.length} people`, { exact: true }).waitFor();
      expect(await rows.allTextContents()).toEqual(found);
    }
    await page.reload();
    await page.getByText('1 person', { exact: true }).waitFor();
    expect(await page.getByLabel('Search').inputValue()).toBe('grace@EX');
    await page.goBack();
    await page.getByText('3 people', { exact: true }).waitFor();

    await page.getByLabel('Search').fill('%');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('status').getByText('Nobody’s username or email starts with “%”.').waitFor();
    expect(await rows.count()).toBe(0);
    await page.getByRole('link', { name: 'Show everybody' }).click();
    await page.getByText('5 people', { exact: true }).waitFor();
  });

  it('is loaded page by page with the keyboard, and the focus is never lost', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await addPeople(server, 120);
    const page = await browser.tab();
    await openAdmin(server, page);
    const more = page.getByRole('button', { name: 'Load more' });
    await more.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('100 people so far').waitFor();
    expect(await page.locator(':focus').textContent()).toBe('Load more');
    await page.keyboard.press('Enter');
    await page.getByText('121 people', { exact: true }).waitFor();
    expect(await page.locator(':focus').textContent()).toBe('121 people');
    expect(await page.getByRole('rowheader').count()).toBe(121);
    expect(await more.count()).toBe(0);
  });

  it('says that it could not be loaded, and tries again when asked', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    const failure = { code: 'rate_limited', retryAfter: 1 };
    const error = { message: 'rate_limited', code: -32029, data: { code: 'FORBIDDEN', httpStatus: 403, failure } };
    browser.expectFault(/403.*admin\.people/);
    await page.route('**/trpc/admin.people*', (route) => route.fulfill({ status: 403, json: [{ error }] }));
    await openAdmin(server, page);
    await page.getByRole('alert').getByText('Too many attempts.').waitFor();
    await page.unroute('**/trpc/admin.people*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('1 person', { exact: true }).waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
  });
});

describe('a person, as an admin sees them', () => {
  it('is shown with their sessions and what happened to them', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await createAccount(server, ada);
    await using other = await visitor(server.url);
    await logIn(await other.tab(), ada);
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, ada.username);
    const sessions = page.getByRole('region', { name: 'Sessions' });
    await sessions.getByText('Chrome on Linux').waitFor();
    const events = page.getByRole('region', { name: 'Audit' }).getByRole('listitem');
    expect(await events.first().textContent()).toContain(`${ada.username} logged in.`);
    expect(await events.last().textContent()).toContain(`${ada.username} created an account.`);
    await page.getByRole('link', { name: 'Filter or export' }).click();
    await page.getByRole('heading', { name: 'Audit', level: 1 }).waitFor();
    await page.getByRole('status').getByText('2 events').waitFor();
    await page.getByRole('link', { name: ada.username }).first().click();
    await page.getByRole('heading', { name: ada.username, level: 1 }).waitFor();
  });

  it('is missed clearly where there is no such account', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await openAdmin(server, page);
    browser.expectFault(/404.*admin\.person/);
    await page.goto('/admin/people/nobody');
    await page.getByRole('heading', { name: 'No such person' }).waitFor();
    await page.getByRole('link', { name: 'Show everybody' }).click();
    await page.getByRole('heading', { name: 'People' }).waitFor();
  });

  it('is logged out by the admin, and sees it at once', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await using theirs = await visitor(server.url);
    const victim = await theirs.tab();
    const listens = victim.waitForResponse(/auth\.sessionEvents/);
    await register(victim, ada);
    await listens;
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, ada.username);
    await page.getByRole('button', { name: 'End sessions' }).click();
    const ended = page.waitForResponse(/admin\.endSessions/);
    await confirmDialog(page, 'End all');
    await ended;
    await victim.getByRole('button', { name: 'Log in' }).waitFor({ timeout: SOON_MS });
    await seesLogin(victim);
    await victim.getByRole('status').getByText('You have been logged out.').waitFor();
    await page.getByRole('status').getByText('One session ended.').waitFor();
    expect(await page.locator(':focus').textContent()).toBe('End sessions');
    await page.getByText('They are logged in nowhere.').waitFor();
    const told = `${grace.username} ended one session of ${ada.username}.`;
    await page.getByRole('region', { name: 'Audit' }).getByText(told).waitFor();
  });

  it('is disabled, which logs them out and keeps them out, and enabled again', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    await using theirs = await visitor(server.url);
    theirs.expectFault(/403.*auth\.login/);
    const victim = await theirs.tab();
    const listens = victim.waitForResponse(/auth\.sessionEvents/);
    await register(victim, ada);
    await listens;
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, ada.username);

    await page.getByRole('button', { name: 'Disable account' }).click();
    await page.getByRole('dialog').getByText('They are logged out everywhere at once').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(browser.calls('admin.setDisabled')).toBe(0);
    expect(await page.locator(':focus').textContent()).toBe('Disable account');

    await doAndConfirm(page, 'Disable account', 'Disable');
    await seesLogin(victim);
    await sendLogin(victim, ada);
    await victim.getByRole('alert').getByText('This account has been disabled.').waitFor();
    await page.getByRole('status').getByText('Disabled.').waitFor();

    await doAndConfirm(page, 'Enable account', 'Enable');
    await page.getByRole('button', { name: 'Disable account' }).waitFor();
    await sendLogin(victim, ada);
    await seesDashboardOf(victim, ada);
  });

  it('gets a link for a new password where the server sends mail', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    await createAccount(server, ada);
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, ada.username);
    await doAndConfirm(page, 'Send password reset', 'Send');
    await page.getByRole('status').getByText(`Sent to ${ada.email}.`).waitFor();
    expect(linkIn(await mail.mailTo(ada.email, /password/i))).toContain('/reset-password#token=');
  });

  it('gets none where it does not', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, grace.username);
    await page.getByRole('button', { name: 'Disable account' }).waitFor();
    expect(await page.getByRole('button', { name: 'Send password reset' }).count()).toBe(0);
  });
});

describe('proving who one is', () => {
  it('is asked of an admin once for several changes', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/403.*admin\.setDisabled/);
    await createAccount(server, ada);
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, ada.username);
    await letProofsAge(server);
    await page.getByRole('button', { name: 'Disable account' }).click();
    await confirmDialog(page, 'Disable');
    await confirmWith(page, grace.password);
    await page.getByRole('status').getByText('Disabled.').waitFor();
    await doAndConfirm(page, 'Enable account', 'Enable');
    await page.getByRole('button', { name: 'Disable account' }).waitFor();
    expect(browser.calls('auth.reauthenticate')).toBe(1);
    expect(browser.calls('admin.setDisabled')).toBe(3);
  });

  it('can be cancelled, and then nothing has changed', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/403.*admin\.setDisabled/);
    await createAccount(server, ada);
    const page = await browser.tab();
    await openAdmin(server, page);
    await openPerson(page, ada.username);
    await letProofsAge(server);
    await page.getByRole('button', { name: 'Disable account' }).click();
    await confirmDialog(page, 'Disable');
    const question = page.getByRole('dialog', { name: 'Is it you?' });
    await question.getByRole('button', { name: 'Cancel' }).click();
    const asking = page.getByRole('dialog', { name: 'Disable the account' });
    await asking.getByRole('alert').getByText('This needs your password.').waitFor();
    await asking.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Disable account' }).waitFor();
    expect(await server.query('select * from users where disabled_at is not null')).toEqual([]);
  });
});
