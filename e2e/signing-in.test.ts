import type { Locator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { createAccount } from './support/api.ts';
import { ada, fillIn, grace, seesDashboardOf, seesLogin, sendLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** The description that a screen reader announces with an invalid field. */
async function errorAt(page: Page, label: string): Promise<string> {
  const field = page.getByLabel(label, { exact: true }).and(page.locator('[aria-invalid=true]'));
  const id = await field.getAttribute('aria-describedby');
  return page.locator(`[id="${id}"]`).innerText();
}

/** Waits until the element has the focus. */
async function isFocused(locator: Locator): Promise<void> {
  await locator.and(locator.page().locator(':focus')).waitFor();
}

async function tabTo(page: Page, target: Locator, key = 'Tab'): Promise<void> {
  await target.waitFor();
  for (let presses = 0; presses < 10; presses++) {
    await page.keyboard.press(key);
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  throw new Error(`${String(target)} cannot be reached with ${key}.`);
}

describe('signing in', () => {
  it('takes a new visitor from the home page to their dashboard', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/');
    await page.getByRole('link', { name: 'Create an account' }).click();
    await fillIn(page, ada);
    await page.getByRole('button', { name: 'Create account' }).click();
    await seesDashboardOf(page, ada);
    expect(new URL(page.url()).pathname).toBe('/dashboard');
  });

  it('makes no API request on a first visit', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/');
    await seesLogin(page);
    expect(new URL(page.url()).pathname).toBe('/login');
    expect(browser.requests.map((request) => new URL(request.url()).pathname)).not.toContainEqual(
      expect.stringContaining('/trpc'),
    );
  });

  it('ignores case and surrounding spaces in the email', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/login');
    await sendLogin(page, { email: ' ADA@Example.com', password: ada.password });
    await seesDashboardOf(page, ada);
  });

  it('responds alike to a wrong password and an unknown email, then accepts the right password', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    browser.expectFault(/401.*auth\.login/);
    const page = await browser.tab();
    await page.goto('/login');

    await sendLogin(page, { email: ada.email, password: 'weaves algebraic Patterns' });
    await page.getByRole('alert').getByText('Email or password is wrong.').waitFor();
    // Only the password needs correcting.
    expect(await page.getByLabel('Email').inputValue()).toBe(ada.email);

    const answer = page.waitForResponse(/auth\.login/);
    await sendLogin(page, { email: 'nobody@example.com', password: ada.password });
    expect((await answer).status()).toBe(401);
    await page.getByRole('alert').getByText('Email or password is wrong.').waitFor();

    await sendLogin(page, ada);
    await seesDashboardOf(page, ada);
  });

  it('shows a taken username and a taken email at their fields', async () => {
    await using server = await startProduct();
    await createAccount(server, ada);
    await using browser = await visitor(server.url);
    browser.expectFault(/409.*auth\.register/);
    const page = await browser.tab();
    await page.goto('/register');

    await fillIn(page, { ...grace, username: ada.username.toUpperCase() });
    await page.getByRole('button', { name: 'Create account' }).click();
    expect(await errorAt(page, 'Username')).toBe('This username is already taken.');
    await isFocused(page.getByLabel('Username'));

    await fillIn(page, { ...grace, email: ada.email.toUpperCase() });
    await page.getByRole('button', { name: 'Create account' }).click();
    expect(await errorAt(page, 'Email')).toBe('There is already an account with this email.');
    await isFocused(page.getByLabel('Email'));

    await fillIn(page, grace);
    await page.getByRole('button', { name: 'Create account' }).click();
    await seesDashboardOf(page, grace);
  });

  it('shows invalid input at its fields without calling the server', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/register');
    await fillIn(page, { username: 'a b', email: 'ada@nowhere', password: 'short' });
    await page.getByRole('button', { name: 'Create account' }).click();
    expect(await errorAt(page, 'Username')).toContain('Use only letters');
    expect(await errorAt(page, 'Email')).toContain('name@example.com');
    expect(await errorAt(page, 'Password')).toContain('at least 8 characters');
    await isFocused(page.getByLabel('Username'));

    await page.goto('/login');
    await page.getByRole('button', { name: 'Log in' }).click();
    expect(await errorAt(page, 'Email')).toBe('Enter your email.');
    expect(await errorAt(page, 'Password')).toBe('Enter your password.');
    expect(browser.calls('auth.register') + browser.calls('auth.login')).toBe(0);
  });

  it('asks for the minimum password length that the server is set to', async () => {
    await using server = await startProduct({ settings: { PASSWORD_MIN_LENGTH: '12' } });
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/register');
    await page.getByText('At least 12 characters.').waitFor();
    await fillIn(page, { ...ada, password: 'elevenchars' });
    await page.getByRole('button', { name: 'Create account' }).click();
    expect(await errorAt(page, 'Password')).toContain('at least 12 characters');
    expect(browser.calls('auth.register')).toBe(0);
    await fillIn(page, { password: 'twelve chars' });
    await page.getByRole('button', { name: 'Create account' }).click();
    await seesDashboardOf(page, ada);
  });

  it('shows the refusal of a common password at its field', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/400.*auth\.register/);
    const page = await browser.tab();
    await page.goto('/register');
    await fillIn(page, { ...ada, password: 'iloveyou1' });
    await page.getByRole('button', { name: 'Create account' }).click();
    expect(await errorAt(page, 'Password')).toContain('Many people use this password');
  });

  it('can be used with the keyboard alone', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/');

    await tabTo(page, page.getByRole('link', { name: 'Create an account' }));
    await page.keyboard.press('Enter');
    await isFocused(page.getByRole('heading', { level: 1 }));
    for (const [label, text] of [
      ['Username', grace.username],
      ['Email', grace.email],
      ['Password', grace.password],
    ] as const) {
      await tabTo(page, page.getByLabel(label, { exact: true }));
      await page.keyboard.type(text);
    }
    await page.keyboard.press('Enter');
    await seesDashboardOf(page, grace);
    await isFocused(page.getByRole('heading', { name: 'Dashboard' }));

    // Backwards, because the button is in the header.
    await tabTo(page, page.getByRole('button', { name: 'Log out' }), 'Shift+Tab');
    const loggedOut = page.waitForEvent('requestfinished', (request) => request.url().includes('auth.logout'));
    await page.keyboard.press('Space');
    await seesLogin(page);
    // Or its answer could clear the cookie of the login.
    await loggedOut;

    await tabTo(page, page.getByLabel('Email'));
    await page.keyboard.type(grace.email);
    await tabTo(page, page.getByLabel('Password', { exact: true }));
    await page.keyboard.type(grace.password);
    await tabTo(page, page.getByRole('button', { name: 'Log in' }));
    await page.keyboard.press('Space');
    await seesDashboardOf(page, grace);
  });

  it('reaches the skip link with the first Tab, and skips the header with it', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/login');
    await seesLogin(page);
    await page.keyboard.press('Tab');
    await isFocused(page.getByRole('link', { name: 'Skip to content' }));
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await isFocused(page.getByLabel('Email'));
  });

  it('hides the password until asked, accepts a pasted one, and works with password managers', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    for (const [path, purpose] of [
      ['/login', 'current-password'],
      ['/register', 'new-password'],
    ]) {
      await page.goto(path!);
      expect(await page.getByLabel('Email').getAttribute('autocomplete')).toBe('username');
      const password = page.getByLabel('Password', { exact: true });
      expect(await password.getAttribute('type')).toBe('password');
      expect(await password.getAttribute('autocomplete')).toBe(purpose);
      // Longer than allowed, and it must arrive whole: a silently truncated password is a different password.
      const pasted = ada.password.repeat(10);
      await password.evaluate((field: HTMLInputElement, text) => {
        field.focus();
        const clipboardData = new DataTransfer();
        clipboardData.setData('text/plain', text);
        const paste = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
        // A browser inserts the text itself unless the page cancels the event.
        if (field.dispatchEvent(paste)) document.execCommand('insertText', false, text);
      }, pasted);
      expect(await password.inputValue()).toBe(pasted);
      await page.getByRole('button', { name: 'Show password' }).click();
      expect(await password.getAttribute('type')).toBe('text');
      await page.getByRole('button', { name: 'Hide password' }).click();
      expect(await password.getAttribute('type')).toBe('password');
      expect(await page.content()).not.toContain(ada.password);
    }
  });
});
