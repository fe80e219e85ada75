import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { openAccount } from './support/account.ts';
import { createAccount } from './support/api.ts';
import { linkIn, mailServer } from './support/mail.ts';
import { ada, fillIn, grace, logOut, register, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

const NEW_EMAIL = 'countess@example.com';
const banner = (page: Page) => page.getByRole('region', { name: 'Please confirm your email' });
const confirm = (page: Page) => page.getByRole('button', { name: 'Confirm email' }).click();

describe('confirming an email', () => {
  it('takes one click on the page of the link, and shows in every tab', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    browser.expectFault(/400.*emailVerification\.confirm/);
    const page = await browser.tab();
    const listens = page.waitForResponse(/auth\.sessionEvents/);
    await register(page, ada);
    await listens;
    await banner(page).getByText(ada.email).waitFor();
    const link = linkIn(await mail.mailTo(ada.email, /Confirm/));

    // On another device, by a guest. Anybody who has the mail may.
    await using elsewhere = await visitor(server.url);
    const phone = await elsewhere.tab();
    await phone.goto(link);
    await confirm(phone);
    await phone.getByRole('status').getByText('Your email is confirmed.').waitFor();
    await banner(page).waitFor({ state: 'hidden' });
    await openAccount(page);
    await page.getByText('Verified', { exact: true }).waitFor();

    // Once more, by the person themselves: nothing is wrong.
    await page.goto(link);
    await confirm(page);
    await page.getByRole('status').getByText(`Your email ${ada.email} is confirmed already.`).waitFor();
    await page.getByRole('link', { name: 'Go to the dashboard' }).click();
    await seesDashboardOf(page, ada);
  });

  it('is not done by a scanner that opens the link and runs its scripts', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const link = linkIn(await mail.mailTo(ada.email, /Confirm/));
    await using scanner = await visitor(server.url);
    for (let visit = 0; visit < 3; visit += 1) {
      const tab = await scanner.tab();
      await tab.goto(link, { waitUntil: 'networkidle' });
      await tab.getByRole('button', { name: 'Confirm email' }).waitFor();
      await tab.close();
    }
    expect(scanner.requests.filter((request) => request.method() !== 'GET')).toEqual([]);
    await page.goto(link);
    await confirm(page);
    await page.getByRole('status').getByText('Your email is confirmed.').waitFor();
  });

  it('works in one of two tabs that open the link at once', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    await register(await browser.tab(), ada);
    const link = linkIn(await mail.mailTo(ada.email, /Confirm/));
    await using elsewhere = await visitor(server.url);
    elsewhere.expectFault(/400.*emailVerification\.confirm/);
    const tabs = [await elsewhere.tab(), await elsewhere.tab()];
    for (const tab of tabs) await tab.goto(link);
    await Promise.all(tabs.map(confirm));
    const sentences = tabs.map(async (tab) => {
      const said = tab.getByRole('status').or(tab.getByRole('alert'));
      await said.waitFor();
      return said.textContent();
    });
    expect(new Set(await Promise.all(sentences))).toEqual(
      new Set([
        'Thank you. Your email is confirmed.',
        'This link has expired, was used already, or was replaced by a newer one.',
      ]),
    );
  });

  it('is asked for again, and after some mails only later', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    browser.expectFault(/429.*emailVerification\.send/);
    browser.expectFault(/400.*emailVerification\.confirm/);
    const page = await browser.tab();
    await register(page, ada);
    const first = linkIn(await mail.mailTo(ada.email, /Confirm/));
    const send = banner(page).getByRole('button', { name: 'Send the mail again' });
    const later = banner(page).getByRole('button', { name: /^Send again in \d+ (s|min)$/ });
    for (let sent = 0; (await later.count()) === 0; sent += 1) {
      expect(sent).toBeLessThan(20);
      const answered = page.waitForResponse(/emailVerification\.send/);
      await send.click();
      await answered;
      await banner(page)
        .getByText(/Sent\.|several mails already/)
        .waitFor();
    }
    // It has no effect.
    const calls = browser.calls('emailVerification.send');
    await later.click({ force: true });
    expect(browser.calls('emailVerification.send')).toBe(calls);
    await page.goto(first);
    await confirm(page);
    await page.getByRole('alert').getByText('replaced by a newer one').waitFor();
    await page.getByRole('link', { name: 'Go to your account' }).click();
    await page.getByText('Waiting for confirmation').waitFor();
  });

  it('says what to do without a link, after a reload, and offline', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    browser.expectFault(/ERR_INTERNET_DISCONNECTED/);
    browser.expectFault(/503.*emailVerification\.confirm/);
    const page = await browser.tab();
    await register(page, ada);
    await logOut(page);
    const link = linkIn(await mail.mailTo(ada.email, /Confirm/));
    await page.goto(link);
    await page.getByRole('button', { name: 'Confirm email' }).waitFor();
    await browser.context.setOffline(true);
    await confirm(page);
    await page.getByRole('alert').getByText('We cannot reach the server.').waitFor();
    await browser.context.setOffline(false);
    await page.route('**/trpc/emailVerification.confirm', (route) =>
      route.fulfill({
        status: 503,
        json: { error: { message: '', code: -32603, data: { failure: { code: 'overloaded', retryAfter: 3 } } } },
      }),
    );
    await confirm(page);
    await page.getByRole('alert').getByText('We are very busy right now. Please try again in 3 seconds.').waitFor();
    await page.unroute('**/trpc/emailVerification.confirm');

    await page.reload();
    await page.getByRole('status').getByText('Please open the link in your mail again.').waitFor();
    // In the same tab, where only the fragment changes.
    await page.goto(link);
    await confirm(page);
    await page.getByText('Your email is confirmed.').waitFor();
    await page.getByRole('link', { name: 'Log in' }).click();
    await seesLogin(page);
  });
});

describe('changing the email', () => {
  it('takes effect when the new address is confirmed, in another browser', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    const listens = page.waitForResponse(/auth\.sessionEvents/);
    await page.reload();
    await listens;
    await page.getByLabel('New email').fill(NEW_EMAIL);
    await page.getByRole('button', { name: 'Change email' }).click();
    await page.getByText(`We have sent a link to ${NEW_EMAIL}.`).waitFor();
    await page.getByText(ada.email, { exact: true }).waitFor();

    await using elsewhere = await visitor(server.url);
    elsewhere.expectFault(/401.*auth\.login/);
    const phone = await elsewhere.tab();
    await phone.goto(linkIn(await mail.mailTo(NEW_EMAIL, /Confirm/)));
    await phone.getByRole('button', { name: 'Change email' }).click();
    await phone.getByRole('status').getByText('Your email has been changed.').waitFor();
    // The session goes on, and shows the new one.
    await page.getByText(NEW_EMAIL, { exact: true }).waitFor();
    // It has been opened.
    expect(await page.getByText('We have sent a link').count()).toBe(0);
    await page.getByText('Verified', { exact: true }).waitFor();
    await mail.mailTo(ada.email, /email/i);

    await phone.getByRole('link', { name: 'Log in' }).click();
    await sendLogin(phone, ada);
    await phone.getByRole('alert').getByText('Email or password is wrong.').waitFor();
    await sendLogin(phone, { ...ada, email: NEW_EMAIL });
    await phone.getByRole('heading', { name: 'Account', exact: true }).waitFor();
  });

  it('says why it cannot be: taken, or the same', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    browser.expectFault(/40[09].*emailChange\.request/);
    await createAccount(server, grace);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    const send = async (email: string) => {
      await page.getByLabel('New email').fill(email);
      await page.getByRole('button', { name: 'Change email' }).click();
    };
    await send(ada.email.toUpperCase());
    await page.getByText('This is your email already.').waitFor();
    await send(grace.email);
    await page.getByText('There is already an account with this email.').waitFor();
    await send('no email');
    await page.getByText('without spaces').waitFor();
  });

  it('fails kindly where the email has changed meanwhile', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    browser.expectFault(/400.*emailChange\.confirm/);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    await page.getByLabel('New email').fill(NEW_EMAIL);
    await page.getByRole('button', { name: 'Change email' }).click();
    const link = linkIn(await mail.mailTo(NEW_EMAIL, /Confirm/));
    await server.query('update users set email = $1', 'other@example.com');
    await page.goto(link);
    await page.getByRole('button', { name: 'Change email' }).click();
    await page.getByRole('alert').getByText('This link has expired').waitFor();
    await page.getByRole('link', { name: 'Go to your account' }).click();
    await page.getByText('other@example.com', { exact: true }).waitFor();
  });
});

describe('registering where the server reveals nobody’s email', () => {
  it('creates the account with the link in the mail', async () => {
    await using mail = await mailServer();
    const settings = { ...mail.settings, REGISTRATION_REVEALS_EMAIL: 'false' };
    await using server = await startProduct({ settings });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/register');
    await fillIn(page, ada);
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('heading', { name: 'Check your mail' }).waitFor();
    await page.getByRole('status').getByText(`We have sent a mail to ${ada.email}.`).waitFor();
    await page.getByRole('button', { name: 'Go back to the form' }).click();
    expect(await page.getByLabel('Email').inputValue()).toBe(ada.email);
    await page.goto(linkIn(await mail.mailTo(ada.email, /./)));
    await confirm(page);
    await page.getByText('Your email is confirmed.').waitFor();
    await page.getByRole('link', { name: 'Log in' }).click();
    await seesLogin(page);
    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
    expect(await banner(page).count()).toBe(0);
  });
});
