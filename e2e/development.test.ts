import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { glance, lookAway } from './support/attention.ts';
import { ada, register, seesDashboardOf } from './support/people.ts';
import { copyOfTheProject } from './support/project.ts';
import { startDevelopment } from './support/server.ts';
import { collectTokens, expired } from './support/tokens.ts';
import { visitor, type Visitor } from './support/visitor.ts';

/** Vite tells of its connection, and React of its tools. */
function expectToolsTalk(browser: Visitor): void {
  browser.expectFault(/^console (debug|info): (\[vite\]|%cDownload the React DevTools)/);
}

/** A port that is free: a server that restarts has to come back to the same one. */
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

test('a developer starts it with one command, without a setting, and it works', async () => {
  await using server = await startDevelopment();
  await server.outputWith(new RegExp(`Latchkey is running at ${server.url}\\s`));
  await using browser = await visitor(server.url);
  expectToolsTalk(browser);
  const page = await browser.tab();
  await register(page, ada);
  await page.reload();
  await seesDashboardOf(page, ada);
  expect((await browser.context.cookies()).map(({ name }) => name)).toContain('refreshToken');
  await page.close();
  expect(await server.stop()).toBe(0);
});

test('refreshing can be made visible by a short life of the tokens', async () => {
  await using server = await startDevelopment({ settings: { ACCESS_TOKEN_EXPIRY: '1s' } });
  await using browser = await visitor(server.url);
  expectToolsTalk(browser);
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

test('a change of the client shows at once, and a change of the server restarts it: nobody is logged out', async () => {
  await using project = await copyOfTheProject();
  await using server = await startDevelopment({
    project: project.folder,
    settings: { PORT: String(await freePort()) },
  });
  await using browser = await visitor(server.url);
  expectToolsTalk(browser);
  const page = await browser.tab();
  await register(page, ada);

  const loads: string[] = [];
  page.on('load', () => loads.push(page.url()));
  await project.edit('src/client/dashboard/dashboard-page.tsx', 'Member since', 'With us since');
  await page.getByText('With us since').waitFor();
  // Without a reload: whatever stood in a form would still be there.
  expect(loads).toEqual([]);
  await seesDashboardOf(page, ada);

  // While it restarts the page finds nobody; Vite asks until somebody is there, and then loads the page anew.
  browser.expectFault(
    /^console error: WebSocket connection to|ERR_CONNECTION_REFUSED|\[vite\]|^failed: |^exception: .*vite/,
  );
  await Promise.all([
    page.waitForEvent('load'),
    server.outputWith(/Stopped\.[^]*Latchkey is listening\./),
    project.edit('src/server/app.ts', "{ status: 'ok' }", "{ status: 'ok', edited: true }"),
  ]);
  await seesDashboardOf(page, ada);
  expect(await (await fetch(`${server.url}/healthz`)).json()).toEqual({ status: 'ok', edited: true });
});
