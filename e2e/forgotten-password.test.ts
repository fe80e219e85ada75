import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { linkIn, mailServer } from './support/mail.ts';
import { ada, fillIn, grace, logIn, register, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';
import type { Page } from 'playwright-core';

const NEW_PASSWORD = 'an engine of difference';

async function askForReset(page: Page, email: string): Promise<void> {
  await page.goto('/login');
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await page.getByRole('heading', { name: 'Forgot your password?' }).waitFor();
  await fillIn(page, { email });
  await page.getByRole('button', { name: 'Send the link' }).click();
  await page.getByRole('heading', { name: 'Check your mail' }).waitFor();
  await page.getByText(`If there is an account with ${email}`).waitFor();
}

async function setPassword(page: Page, password: string): Promise<void> {
  await page.getByLabel('New password').fill(password);
  await page.getByRole('button', { name: 'Set password' }).click();
}

describe('a forgotten password', () => {
  it('is replaced with the link in a mail, and every session ends', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using elsewhere = await visitor(server.url);
    const other = await elsewhere.tab();
    const listens = other.waitForResponse(/auth\.sessionEvents/);
    await register(other, ada);
    await listens;

    await using browser = await visitor(server.url);
    browser.expectFault(/400.*passwordReset\.complete/);
    browser.expectFault(/401.*auth\.login/);
    const page = await browser.tab();
    await askForReset(page, ada.email);
    const link = linkIn(await mail.mailTo(ada.email, /Reset/));
    await page.goto(link);
    await setPassword(page, 'short');
    await page.getByText('Use at least 8 characters.').waitFor();
    await setPassword(page, 'password123');
    // Refused by the server, which does not use the link up.
    await page.getByText('Many people use this password.').waitFor();
    await setPassword(page, NEW_PASSWORD);
    await page.getByRole('status').getByText('Your password has been changed').waitFor();
    await seesLogin(page);
    await other.getByRole('status').getByText('You have been logged out.').waitFor();

    await sendLogin(page, ada);
    await page.getByRole('alert').getByText('Email or password is wrong.').waitFor();
    await sendLogin(page, { ...ada, password: NEW_PASSWORD });
    await seesDashboardOf(page, ada);
    await mail.mailTo(ada.email, /password was changed|password has been changed|Your password/i);

    // The link was for once; the way on is another.
    await page.goto(link);
    await setPassword(page, 'yet another good one');
    await page.getByRole('alert').getByText('This link has expired').waitFor();
    await page.getByRole('link', { name: 'Ask for a new link' }).click();
    await page.getByRole('heading', { name: 'Forgot your password?' }).waitFor();
  });

  it('looks the same for an email without an account', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await askForReset(page, grace.email);
    expect(mail.received).toEqual([]);
  });

  it('can be the one of the person who is logged in here: the tab is logged out, and says why', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await page.goto('/forgot-password');
    await fillIn(page, { email: ada.email });
    await page.getByRole('button', { name: 'Send the link' }).click();
    await page.getByRole('heading', { name: 'Check your mail' }).waitFor();
    const listens = page.waitForResponse(/auth\.sessionEvents/);
    await page.goto(linkIn(await mail.mailTo(ada.email, /Reset/)));
    await listens;
    await setPassword(page, NEW_PASSWORD);
    await page.getByRole('status').getByText('Your password has been changed').waitFor();
    await sendLogin(page, { ...ada, password: NEW_PASSWORD });
    await seesDashboardOf(page, ada);
  });

  it('of somebody else leaves the person alone who is logged in here', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await createAccount(server, grace);
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await page.goto('/forgot-password');
    await fillIn(page, { email: grace.email });
    await page.getByRole('button', { name: 'Send the link' }).click();
    await page.getByRole('heading', { name: 'Check your mail' }).waitFor();
    await page.goto(linkIn(await mail.mailTo(grace.email, /Reset/)));
    await setPassword(page, NEW_PASSWORD);
    await page.getByRole('status').getByText('every session of its account has ended').waitFor();
    await page.getByRole('link', { name: 'Go on' }).click();
    await seesDashboardOf(page, ada);
    await using elsewhere = await visitor(server.url);
    await logIn(await elsewhere.tab(), { ...grace, password: NEW_PASSWORD });
  });

  it('is not offered where the server sends no mail', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/login');
    await seesLogin(page);
    expect(await page.getByText('Forgot your password?').count()).toBe(0);
    await page.goto('/forgot-password');
    await page.getByText('This site sends no mail.').waitFor();
    await register(page, ada);
    expect(await page.getByText('confirm your email').count()).toBe(0);
    await page.getByRole('link', { name: 'Account' }).click();
    await page.getByText('This site sends no mail').waitFor();
    expect(await page.getByRole('button', { name: 'Change email' }).count()).toBe(0);
  });
});
