import { describe, expect, it } from 'vitest';
import { call, createAccount } from './support/api.ts';
import { foreignSite, type ForeignSite } from './support/foreign-site.ts';
import { ada, grace, logIn, logOut, register, seesDashboardOf, seesLogin } from './support/people.ts';
import { startProduct, type RunningServer } from './support/server.ts';
import { visitor, type Visitor } from './support/visitor.ts';

/*
 * The app is one host of a domain; an attacker controls another and wants to log people in to Grace's account. To the
 * browser both hosts are one site, and either can set cookies for the whole domain (RFC 6265, section 8.6).
 */
const DOMAIN = 'shop.localhost';
const NAME = '__Host-refreshToken';

/** Logs in without a browser. @returns the refresh token */
async function tokenOf(server: RunningServer, { email, password }: typeof grace): Promise<string> {
  const answer = await call(server, 'auth.login', { input: { email, password } });
  const [, token] = /^__Host-refreshToken=([^;]+)/m.exec(answer.headers.getSetCookie().join('\n'))!;
  return token!;
}

/** Every cookie that could pass for ours. Longer paths are sent first. */
function tossed(token: string, path: '/' | '/trpc'): string[] {
  const everywhere = `Domain=${DOMAIN}; Path=${path}; Secure`;
  return [
    `${NAME}=${token}; Path=/; Secure`,
    `${NAME}=${token}; ${everywhere}`,
    `__host-REFRESHTOKEN=${token}; ${everywhere}`,
    // A cookie without a name is sent as its bare value, which here reads like our cookie.
    `=${NAME}=${token}; ${everywhere}`,
    `refreshToken=${token}; ${everywhere}`,
    `__Secure-refreshToken=${token}; ${everywhere}`,
    // A no-break space, which some parsers trim: as one Latin-1 byte and in UTF-8.
    `\u00a0${NAME}=${token}; ${everywhere}`,
    `\u00c2\u00a0${NAME}=${token}; ${everywhere}`,
  ];
}

/** Opens a page of the sibling, which sets the cookies both by header and by script. */
async function visitSibling(browser: Visitor, sibling: ForeignSite, cookies: string[]): Promise<void> {
  browser.alsoVisits(sibling.at(`evil.${DOMAIN}`));
  const page = await browser.tab();
  await page.goto(sibling.at(`evil.${DOMAIN}`));
  await page.evaluate((cookies) => {
    for (const cookie of cookies) document.cookie = cookie;
  }, cookies);
}

describe('another host of the domain', () => {
  it('cannot replace a session', async () => {
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
    // The browser accepted and sends the cookies that it allows.
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

  it('cannot log a guest in', async () => {
    await using server = await startProduct();
    await createAccount(server, grace);
    // One at a time, as the server rejects a request with two copies.
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
});
