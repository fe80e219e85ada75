import { expect, test } from 'vitest';
import { call, createAccount } from './support/api.ts';
import { foreignSite, type ForeignSite } from './support/foreign-site.ts';
import { ada, grace, logIn, logOut, register, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct, type RunningServer } from './support/server.ts';
import { visitor, type Visitor } from './support/visitor.ts';

/*
 * Our app is one host of a domain. Another one is in the hands of somebody who wants people to be logged in to an account that
 * is not theirs: Grace's. To the browser both are one site, and each of them may set cookies for the whole domain.
 */
const DOMAIN = 'shop.localhost';
const NAME = '__Host-refreshToken';

/** A refresh token of an account, as another program would get it. */
async function tokenOf(server: RunningServer, { email, password }: typeof grace): Promise<string> {
  const answer = await call(server, 'auth.login', { input: { email, password } });
  const [, token] = /^__Host-refreshToken=([^;]+)/m.exec(answer.headers.getSetCookie().join('\n'))!;
  return token!;
}

/** Everything that might pass for our cookie. Those with the longer path are sent before ours. */
function tossed(token: string, path: '/' | '/trpc'): string[] {
  const everywhere = `Domain=${DOMAIN}; Path=${path}; Secure`;
  return [
    `${NAME}=${token}; Path=/; Secure`,
    `${NAME}=${token}; ${everywhere}`,
    `__host-REFRESHTOKEN=${token}; ${everywhere}`,
    // A cookie without a name is sent as its value, and this one's would read like ours.
    `=${NAME}=${token}; ${everywhere}`,
    `refreshToken=${token}; ${everywhere}`,
    `__Secure-refreshToken=${token}; ${everywhere}`,
    // A no-break space, which many a parser trims off: as a single byte, and in UTF-8.
    `\u00a0${NAME}=${token}; ${everywhere}`,
    `\u00c2\u00a0${NAME}=${token}; ${everywhere}`,
  ];
}

/** Goes to a page of the sibling, which sets the cookies that its answer has not set yet. */
async function visitSibling(browser: Visitor, sibling: ForeignSite, cookies: string[]): Promise<void> {
  browser.alsoVisits(sibling.at(`evil.${DOMAIN}`));
  const page = await browser.tab();
  await page.goto(sibling.at(`evil.${DOMAIN}`));
  await page.evaluate((cookies) => {
    for (const cookie of cookies) document.cookie = cookie;
  }, cookies);
}

test('a host of the same domain cannot replace the session of a person', async () => {
  await using server = await startProduct();
  await createAccount(server, grace);
  const cookies = tossed(await tokenOf(server, grace), '/trpc');
  await using sibling = await foreignSite({ 'set-cookie': cookies });
  const url = `http://app.${DOMAIN}:${server.port}`;
  await using browser = await visitor(url);
  const page = await browser.tab();
  await register(page, ada);
  const sent = () => browser.context.cookies(`${url}/trpc/auth.refresh`);
  const own = (await sent()).find(({ name }) => name === NAME);
  expect(own).toMatchObject({ domain: `app.${DOMAIN}`, httpOnly: true });

  await visitSibling(browser, sibling, cookies);
  // The browser has taken what it may, and sends it along.
  const names = (await sent()).map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['refreshToken', '__Secure-refreshToken', `\u00a0${NAME}`]));
  expect(await sent()).toContainEqual(own);
  await page.reload();
  await seesDashboardOf(page, ada);
  await logOut(page);
  await logIn(page, ada);
  await page.reload();
  await seesDashboardOf(page, ada);
});

test('a host of the same domain cannot log a guest in', async () => {
  await using server = await startProduct();
  await createAccount(server, grace);
  // One at a time: of two that pass for ours neither would be believed.
  for (const cookie of tossed(await tokenOf(server, grace), '/')) {
    await using sibling = await foreignSite({ 'set-cookie': cookie });
    await using browser = await visitor(`http://app.${DOMAIN}:${server.port}`);
    await visitSibling(browser, sibling, [cookie]);
    const page = await browser.tab();
    await page.goto('/dashboard');
    await seesLogin(page);
    expect({ cookie, asked: browser.calls('auth.refresh') }).toEqual({ cookie, asked: 0 });
  }
});
