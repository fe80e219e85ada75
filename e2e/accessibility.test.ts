import { describe, it } from 'vitest';
import { expectAccessible } from './support/accessible.ts';
import { confirmWith, letProofsAge, openAccount } from './support/account.ts';
import { mailServer } from './support/mail.ts';
import { ada, fillIn, register, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { waitForTitle } from './support/title.ts';
import { visitor } from './support/visitor.ts';

describe('accessibility', () => {
  it('passes axe on every guest page', async () => {
    await using server = await startProduct();
    // Without animations, so that axe measures final colors.
    await using browser = await visitor(server.url, { reducedMotion: 'reduce' });
    browser.expectFault(/401.*auth\.login/);
    const page = await browser.tab();

    await page.goto('/login');
    await seesLogin(page);
    await expectAccessible(page, 'login');
    await sendLogin(page, ada);
    await page.getByRole('alert').waitFor();
    await expectAccessible(page, 'login, refused');
    await page.goto('/dashboard');
    await page.getByText('Please log in to continue.').waitFor();
    await expectAccessible(page, 'login, redirected');

    await page.goto('/register');
    await page.getByRole('heading', { level: 1 }).waitFor();
    await expectAccessible(page, 'register');
    await fillIn(page, { username: 'a b', email: 'x', password: 'x' });
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByText('at least 8 characters').waitFor();
    await expectAccessible(page, 'register, invalid');

    await page.goto('/nowhere');
    await page.getByRole('heading', { name: 'Page not found' }).waitFor();
    await expectAccessible(page, 'not found');
  });

  it('passes axe on the dashboard', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url, { reducedMotion: 'reduce' });
    const page = await browser.tab();
    // The longest username, in the narrowest window.
    await register(page, { ...ada, username: 'Wolfeschlegelsteinhausenbergerdo' });
    await expectAccessible(page, 'dashboard');
    await page.getByRole('button', { name: 'Call auth.me' }).click();
    await page.getByText('Answered in').waitFor();
    await expectAccessible(page, 'dashboard, with an answer');
  });

  it('passes axe on the account page, and in its dialogs', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url, { reducedMotion: 'reduce' });
    browser.expectFault(/403.*account\.export/);
    browser.expectFault(/401.*auth\.reauthenticate/);
    const page = await browser.tab();
    await register(page, { ...ada, username: 'Wolfeschlegelsteinhausenbergerdo' });
    await using elsewhere = await visitor(server.url);
    const other = await elsewhere.tab();
    await other.goto('/login');
    await sendLogin(other, ada);
    await other.getByRole('heading', { name: 'Dashboard' }).waitFor();
    await expectAccessible(page, 'dashboard, email not confirmed');
    await openAccount(page);
    await expectAccessible(page, 'account');
    await page.getByRole('button', { name: 'Delete account' }).click();
    await page.getByRole('dialog').waitFor();
    await expectAccessible(page, 'account, deleting');
    await page.keyboard.press('Escape');
    await letProofsAge(server);
    await page.getByRole('button', { name: 'Download your data' }).click();
    await confirmWith(page, 'not her password');
    await page.getByText('This password is wrong.').waitFor();
    await expectAccessible(page, 'account, confirming');
    await page.keyboard.press('Escape');
    await page.getByRole('alert').waitFor();
    await expectAccessible(page, 'account, cancelled');
  });

  it('passes axe on the pages of mailed links', async () => {
    await using mail = await mailServer();
    await using server = await startProduct({ settings: mail.settings });
    await using browser = await visitor(server.url, { reducedMotion: 'reduce' });
    browser.expectFault(/400.*(emailVerification\.confirm|passwordReset\.complete)/);
    const page = await browser.tab();
    await page.goto('/forgot-password');
    await page.getByLabel('Email').fill(ada.email);
    await expectAccessible(page, 'forgot password');
    await page.getByRole('button', { name: 'Send the link' }).click();
    await page.getByRole('heading', { name: 'Check your mail' }).waitFor();
    await expectAccessible(page, 'forgot password, sent');
    for (const [path, action] of [
      ['/verify-email', 'Confirm email'],
      ['/reset-password', 'Set password'],
    ] as const) {
      await page.goto(path);
      await page.getByText('open the link in your mail again').waitFor();
      await expectAccessible(page, `${path}, without a link`);
      await page.goto(`${path}#token=nonsense`);
      const button = page.getByRole('button', { name: action });
      await button.waitFor();
      await expectAccessible(page, path);
      if (path === '/reset-password') await page.getByLabel('New password').fill('an engine of difference');
      await button.click();
      await page.getByRole('alert').getByText('This link has expired').waitFor();
      await expectAccessible(page, `${path}, invalid`);
    }
  });

  it('passes axe while the server is unreachable', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url, { reducedMotion: 'reduce' });
    const page = await browser.tab();
    await register(page, ada);
    browser.expectFault(/ERR_CONNECTION_REFUSED/);
    await page.route('**/trpc/**', (route) => route.abort('connectionrefused'));
    await page.reload();
    await page.getByText('We cannot reach the server.').waitFor();
    await expectAccessible(page, 'unreachable');
    await page.unroute('**/trpc/**');
    await seesDashboardOf(page, ada);
  });

  it('passes axe when a page could not be downloaded', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url, { reducedMotion: 'reduce' });
    const page = await browser.tab();
    await register(page, ada);
    browser.expectFault(/\/assets\/dashboard-/);
    browser.expectFault(/^exception: $/);
    await page.route('**/assets/dashboard-*.js', (route) => route.abort('connectionrefused'));
    await page.reload();
    await page.getByText('This page could not be loaded.').waitFor();
    await expectAccessible(page, 'not loaded');
  });

  it('gives each page its own title', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    for (const [path, title] of [
      ['/login', 'Log in'],
      ['/register', 'Create account'],
      ['/forgot-password', 'Forgot your password?'],
      ['/reset-password', 'Set a new password'],
      ['/verify-email', 'Confirm your email'],
      ['/confirm-email', 'Confirm your new email'],
      ['/nowhere', 'Page not found'],
    ] as const) {
      await page.goto(path);
      await waitForTitle(page, title);
    }
    await register(page, ada);
    await waitForTitle(page, 'Dashboard');
    await openAccount(page);
    await waitForTitle(page, 'Account');
  });
});
