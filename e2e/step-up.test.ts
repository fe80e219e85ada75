import { describe, expect, it } from 'vitest';
import { confirmWith, letProofsAge, openAccount } from './support/account.ts';
import { ada, logIn, register, seesLogin } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

const NEW_PASSWORD = 'an engine of difference';

describe('a change that needs a recent proof of who is there', () => {
  it('asks for nothing right after the login', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    await page.getByLabel('New password').fill(NEW_PASSWORD);
    await page.getByRole('button', { name: 'Change password' }).click();
    await page.getByText('Your other sessions have been logged out.').waitFor();
    expect(browser.calls('auth.reauthenticate')).toBe(0);
  });

  it('asks once for several calls, and then does them all', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/403.*account\.(changePassword|export)/);
    browser.expectFault(/401.*auth\.reauthenticate/);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    await letProofsAge(server);
    await page.getByLabel('New password').fill(NEW_PASSWORD);
    const downloaded = page.waitForEvent('download');
    // In one task, before the dialog makes the page inert.
    await page.evaluate(() => {
      for (const button of document.querySelectorAll('button'))
        if (/^(Change password|Download your data)$/.test(button.textContent)) button.click();
    });
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    expect(await dialog.count()).toBe(1);

    await confirmWith(page, 'not her password');
    await dialog.getByText('This password is wrong.').waitFor();
    await confirmWith(page, ada.password);
    await dialog.waitFor({ state: 'hidden' });
    await page.getByText('Your other sessions have been logged out.').waitFor();
    await downloaded;
    const sent = ['account.changePassword', 'account.export', 'auth.reauthenticate'].map((name) => browser.calls(name));
    expect(sent).toEqual([2, 2, 2]);
    await using other = await visitor(server.url);
    await logIn(await other.tab(), { ...ada, password: NEW_PASSWORD });
  });

  it('can be cancelled: nothing happens, the focus returns, and the next attempt asks again', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/403.*account\.export/);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    await letProofsAge(server);
    const download = page.getByRole('button', { name: 'Download your data' });
    const dialog = page.getByRole('dialog');
    const attempts = [
      () => page.keyboard.press('Escape'),
      () => dialog.getByRole('button', { name: 'Cancel' }).click(),
      // Browsers let no page hold Escape back twice in a row.
      () => page.keyboard.press('Escape'),
    ];
    for (const cancel of attempts) {
      await download.click();
      await dialog.waitFor();
      const focused = page.locator(':focus');
      expect(await focused.getAttribute('autocomplete')).toBe('current-password');
      await cancel();
      await dialog.waitFor({ state: 'hidden' });
      await page.getByRole('alert').getByText('This needs your password.').waitFor();
      expect(await focused.textContent()).toBe('Download your data');
    }
    expect(browser.calls('auth.reauthenticate')).toBe(0);
  });

  it('tells password managers whose password it asks for', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/403.*account\.export/);
    const page = await browser.tab();
    await register(page, ada);
    await openAccount(page);
    await letProofsAge(server);
    await page.getByRole('button', { name: 'Download your data' }).click();
    await page.getByRole('dialog').waitFor();
    const fields = page.getByRole('dialog').locator('input');
    const described = await fields.evaluateAll((inputs: HTMLInputElement[]) =>
      inputs.map(({ autocomplete, value }) => [autocomplete, value]),
    );
    expect(described).toEqual([
      ['username', ada.email],
      ['current-password', ''],
    ]);
  });

  it('closes the dialog when the session ends meanwhile', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    browser.expectFault(/403.*account\.export/);
    const page = await browser.tab();
    await register(page, ada);
    await using elsewhere = await visitor(server.url);
    const other = await elsewhere.tab();
    await logIn(other, ada);
    await openAccount(other);
    await openAccount(page);
    await letProofsAge(server);
    await page.getByRole('button', { name: 'Download your data' }).click();
    await page.getByRole('dialog').waitFor();
    await other.getByRole('button', { name: 'Log out other sessions' }).click();
    await seesLogin(page);
    expect(await page.getByRole('dialog').count()).toBe(0);
  });
});
