import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { glance, lookAway } from './support/attention.ts';
import { ada, register, seesDashboardOf } from './support/people.ts';
import { copyOfTheProject } from './support/project.ts';
import { startDevelopment } from './support/server.ts';
import { collectTokens, expired } from './support/tokens.ts';
import { visitor, type Visitor } from './support/visitor.ts';

/** Vite logs that it has connected, and React advertises its developer tools. */
function ignoreToolMessages(browser: Visitor): void {
  browser.expectFault(/^console (debug|info): (\[vite\]|%cDownload the React DevTools)/);
}

/** Not 0, because a restarted server must come back on the same port. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

describe('npm run dev', () => {
  it('works with one command and no settings', async () => {
    await using server = await startDevelopment();
    await server.outputWith(new RegExp(`Latchkey is running at ${server.url}\\s`));
    await using browser = await visitor(server.url);
    ignoreToolMessages(browser);
    const page = await browser.tab();
    await register(page, ada);
    await page.reload();
    await seesDashboardOf(page, ada);
    expect((await browser.context.cookies()).map(({ name }) => name)).toContain('refreshToken');
    await page.close();
    expect(await server.stop()).toBe(0);
  });

  it('shows the mail that it would send, with links that lead into the app', async () => {
    await using server = await startDevelopment();
    await server.outputWith(new RegExp(`Its mail is at ${server.url}/dev/mail\\s`));
    await using browser = await visitor(server.url);
    ignoreToolMessages(browser);
    const page = await browser.tab();
    await register(page, ada);
    await page.goto('/dev/mail');
    // The page looks again every few seconds.
    await page.getByRole('link', { name: 'Confirm your email address' }).click();
    const html = page.frameLocator('iframe');
    await html.getByText('Please confirm that it is yours').waitFor();
    const opening = page.waitForEvent('popup');
    await html.getByRole('link', { name: 'Confirm email address' }).click();
    const opened = await opening;
    await opened.waitForURL(`${server.url}/verify-email**`);
    await opened.close();
    const [link = ''] = /http\S+/.exec(await page.locator('pre').innerText()) ?? [];
    expect(link).toContain(`${server.url}/verify-email#token=`);
    expect(await page.getByRole('link', { name: link }).getAttribute('href')).toBe(link);
  });

  it('shows no mail where MAIL_URL says where to send it', async () => {
    await using server = await startDevelopment({
      settings: { MAIL_URL: 'smtp://127.0.0.1', MAIL_FROM: 'noreply@example.com' },
    });
    await server.outputWith(/Latchkey is running at .*\s/);
    expect(server.output()).not.toContain('/dev/mail');
    const pages = ['/dev/mail', '/login'].map((path) => fetch(server.url + path, { headers: { accept: 'text/html' } }));
    const [mail, other] = await Promise.all(pages.map(async (page) => (await page).text()));
    expect(mail).toBe(other);
  });

  it('refreshes short-lived tokens as they expire', async () => {
    await using server = await startDevelopment({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
    await using browser = await visitor(server.url);
    ignoreToolMessages(browser);
    browser.expectFault(/401.*auth\.me/);
    const tokens = collectTokens(browser.context);
    const page = await browser.tab();
    await register(page, ada);
    await lookAway(page);
    await expired(tokens.at(-1)!);
    const answer = page.waitForResponse((response) => response.url().includes('auth.me') && response.ok());
    await glance(page);
    await answer;
    await seesDashboardOf(page, ada);
    expect(browser.calls('auth.refresh')).toBeGreaterThanOrEqual(1);
  });

  it('applies changes to client and server without logging anyone out', async () => {
    await using project = await copyOfTheProject();
    await using server = await startDevelopment({
      project: project.folder,
      settings: { PORT: String(await freePort()) },
    });
    await using browser = await visitor(server.url);
    ignoreToolMessages(browser);
    const page = await browser.tab();
    await register(page, ada);

    const loads: string[] = [];
    page.on('load', () => loads.push(page.url()));
    await project.edit('src/client/pages/dashboard.tsx', 'Member since', 'With us since');
    await page.getByText('With us since').waitFor();
    // Without a reload, so a half-filled form would have survived.
    expect(loads).toEqual([]);
    await seesDashboardOf(page, ada);

    // During the restart requests fail. Vite polls until the server is back, then reloads the page.
    browser.expectFault(
      /^console error: WebSocket connection to|ERR_CONNECTION_REFUSED|\[vite\]|^failed: |^exception: .*vite/,
    );
    await Promise.all([
      page.waitForEvent('load'),
      server.outputWith(/Stopped[^]*Latchkey is running at/),
      project.edit('src/server/app.ts', "{ status: 'ok' }", "{ status: 'ok', edited: true }"),
    ]);
    await seesDashboardOf(page, ada);
    expect(await (await fetch(`${server.url}/healthz`)).json()).toEqual({ status: 'ok', edited: true });
  });
});
