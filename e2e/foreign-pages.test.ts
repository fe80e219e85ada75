import type { Frame, Page, Request, Response } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { Grant } from '../src/shared/auth.ts';
import { createAccount } from './support/api.ts';
import { sessionsOf } from './support/database.ts';
import { foreignSite, type ForeignSite } from './support/foreign-site.ts';
import { ada, register, seesDashboardOf, seesLogin, type Person } from './support/people.ts';
import { startProduct, type RunningServer } from './support/server.ts';
import { visitor, type Visitor } from './support/visitor.ts';

/** The attacker, who wants to log people in to her own account. Her password contains the `=` that a text/plain form needs. */
const mallory: Person = { username: 'mallory', email: 'mallory@example.com', password: 'two and two=five, they say' };
const credentials = { email: mallory.email, password: mallory.password };

const procedures = ['auth.logout', 'auth.refresh', 'auth.login'];
const enctypes = ['multipart/form-data', 'text/plain', 'application/x-www-form-urlencoded'];

/** The app is on localhost: the first is the same site, the second is another. */
const hosts = ['localhost', '127.0.0.1'];
/** Where a foreign script can run. In a sandboxed frame its origin is opaque: the browser sends `Origin: null`. */
const places = [...hosts.map((host) => ({ host, sandboxed: false })), { host: 'localhost', sandboxed: true }];

/** Opens a foreign page. @returns the frame that its scripts run in */
async function visit(page: Page, site: ForeignSite, { host, sandboxed }: (typeof places)[number]): Promise<Frame> {
  await page.goto(site.at(host));
  if (!sandboxed) return page.mainFrame();
  await page.evaluate(async () => {
    const frame = document.createElement('iframe');
    frame.sandbox.value = 'allow-scripts allow-forms allow-top-navigation';
    const loaded = new Promise((resolve) => frame.addEventListener('load', resolve));
    document.body.append(frame);
    await loaded;
  });
  const [frame] = page.mainFrame().childFrames();
  expect(await frame!.evaluate(() => self.origin)).toBe('null');
  return frame!;
}

/** What an attack could change: the sessions in the database and the cookies in the browser. */
async function stateOf(server: RunningServer, { context }: Visitor) {
  return { sessions: await sessionsOf(server), cookies: await context.cookies() };
}

/** Submits a form from script, which takes no click. @returns the response, once the browser shows it */
async function sendForm(frame: Frame, action: string, enctype: string): Promise<Response> {
  const [email, password] = JSON.stringify(credentials).split('=') as [string, string];
  // A text/plain form sends `name=value`, so splitting the JSON at an `=` makes the body valid JSON.
  const fields = enctype === 'text/plain' ? { [email]: password } : credentials;
  const answered = frame.page().waitForResponse(action);
  await frame.evaluate(
    ({ action, enctype, fields }) => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'post', target: '_top', action, enctype });
      for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement('input');
        Object.assign(input, { type: 'hidden', name, value });
        form.append(input);
      }
      document.body.append(form);
      form.submit();
    },
    { action, enctype, fields },
  );
  const answer = await answered;
  await frame.page().waitForURL(action);
  return answer;
}

/** What a script can send to another origin without a preflight, and how. */
const bodies = ['a form', 'fields', 'bytes without a type', 'text that says it is JSON', 'nothing'] as const;
const ways = ['fetch', 'beacon'] as const;

/** Sends the request and waits until the browser has the response, which a page never sees for a beacon. */
async function send(frame: Frame, url: string, body: (typeof bodies)[number], way: (typeof ways)[number]) {
  const isIt = (request: Request) => request.url() === url;
  const answered = Promise.race([
    frame.page().waitForEvent('requestfailed', isIt),
    frame.page().waitForEvent('requestfinished', isIt),
  ]);
  await frame.evaluate(
    async ({ url, body, way, credentials }) => {
      const json = JSON.stringify(credentials);
      const form = new FormData();
      for (const [name, value] of Object.entries(credentials)) form.set(name, value);
      const content = {
        'a form': form,
        fields: new URLSearchParams(credentials),
        'bytes without a type': new Blob([json]),
        'text that says it is JSON': new Blob([json], { type: 'text/plain;charset=application/json' }),
        nothing: null,
      }[body];
      if (way === 'beacon') navigator.sendBeacon(url, content);
      // Rejects because the page may not read the response. By then the server has handled the request.
      else
        await fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: content }).catch(() => null);
    },
    { url, body, way, credentials },
  );
  await answered;
}

/** A visitor of the app who also opens foreign pages. */
async function visitorOfBoth({ url }: RunningServer, ...sites: ForeignSite[]): Promise<Visitor> {
  const browser = await visitor(url);
  for (const site of sites) for (const host of hosts) browser.alsoVisits(site.at(host));
  return browser;
}

interface Call {
  path: string;
  method?: 'POST';
  headers?: Record<string, string>;
  body?: string;
  mode?: 'no-cors';
}

const asJson = (path: string, input?: unknown): Call => ({
  path,
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  ...(input !== undefined && { body: JSON.stringify(input) }),
});
const withToken = (path: string, token: string): Call => ({ path, headers: { authorization: `Bearer ${token}` } });

/** Calls the API from a script. @returns what the script can see of the response */
function call(frame: Frame, { url }: RunningServer, { path, ...init }: Call): Promise<string> {
  return frame.evaluate(
    ({ address, init }) =>
      fetch(address, { credentials: 'include', ...init }).then(
        async (answer) => `${answer.type} ${answer.status} ${await answer.text()}`,
        () => 'nothing',
      ),
    { address: url + path, init },
  );
}

describe('a page of another origin', () => {
  it('cannot log a person out, or in to another account, with a form', async () => {
    await using server = await startProduct();
    await createAccount(server, mallory);
    await using site = await foreignSite();
    await using browser = await visitorOfBoth(server, site);
    const page = await browser.tab();
    await register(page, ada);
    const before = await stateOf(server, browser);

    browser.expectFault(/^403 POST \/trpc\/|status of 403/);
    const other = await browser.tab();
    for (const place of places)
      for (const procedure of procedures)
        for (const enctype of enctypes) {
          const attempt = { ...place, procedure, enctype };
          const frame = await visit(other, site, place);
          const answer = await sendForm(frame, `${server.url}/trpc/${procedure}`, enctype);
          expect({ ...attempt, status: answer.status() }).toEqual({ ...attempt, status: 403 });
          expect({ ...attempt, ...(await stateOf(server, browser)) }).toEqual({ ...attempt, ...before });
        }
    await page.reload();
    await seesDashboardOf(page, ada);
  });

  it('cannot log a guest in with a form', async () => {
    await using server = await startProduct();
    await createAccount(server, mallory);
    await using site = await foreignSite();
    await using browser = await visitorOfBoth(server, site);
    browser.expectFault(/^403 POST \/trpc\/auth\.login|status of 403/);
    const page = await browser.tab();
    for (const place of places)
      for (const enctype of enctypes) {
        const attempt = { ...place, enctype };
        const frame = await visit(page, site, place);
        const answer = await sendForm(frame, `${server.url}/trpc/auth.login`, enctype);
        expect({ ...attempt, status: answer.status() }).toEqual({ ...attempt, status: 403 });
        expect({ ...attempt, cookies: await browser.context.cookies() }).toEqual({ ...attempt, cookies: [] });
      }
    await page.goto('/');
    await seesLogin(page);
  });

  it('cannot log a person out, or in to another account, with a request that needs no preflight', async () => {
    await using server = await startProduct();
    await createAccount(server, mallory);
    await using site = await foreignSite();
    await using browser = await visitorOfBoth(server, site);
    const page = await browser.tab();
    await register(page, ada);
    const before = await stateOf(server, browser);

    // The server responds, and the browser withholds the response from the page.
    browser.expectFault(/ERR_BLOCKED_BY_RESPONSE\.NotSameOrigin/);
    const other = await browser.tab();
    for (const place of places) {
      const frame = await visit(other, site, place);
      for (const procedure of procedures)
        for (const body of bodies)
          for (const way of ways) {
            const attempt = { ...place, procedure, body, way };
            await send(frame, `${server.url}/trpc/${procedure}`, body, way);
            expect({ ...attempt, ...(await stateOf(server, browser)) }).toEqual({ ...attempt, ...before });
          }
    }
    await page.reload();
    await seesDashboardOf(page, ada);
  });

  it('can neither call the API with JSON nor read a response', async () => {
    await using server = await startProduct();
    await createAccount(server, mallory);
    await using site = await foreignSite();
    await using browser = await visitorOfBoth(server, site);
    const page = await browser.tab();
    await register(page, ada);
    const before = await stateOf(server, browser);

    browser.expectFault(/blocked by CORS policy|ERR_FAILED|ERR_BLOCKED_BY_RESPONSE\.NotSameOrigin/);
    const other = await browser.tab();
    for (const place of places) {
      const frame = await visit(other, site, place);
      for (const attempt of [
        asJson('/trpc/auth.logout'),
        asJson('/trpc/auth.refresh'),
        asJson('/trpc/auth.login', credentials),
        withToken('/trpc/auth.me', 'x'),
        ...['/trpc/auth.me', '/healthz', '/dashboard', '/latchkey.svg'].flatMap((path): Call[] => [
          { path },
          { path, mode: 'no-cors' },
        ]),
      ])
        expect({ place, attempt, seen: await call(frame, server, attempt) }).toEqual({
          place,
          attempt,
          seen: 'nothing',
        });
    }
    expect(await stateOf(server, browser)).toEqual(before);
    await page.reload();
    await seesDashboardOf(page, ada);
  });

  it('can call the API only from the origin in CLIENT_URL', async () => {
    await using client = await foreignSite();
    const clientUrl = client.at('localhost');
    await using server = await startProduct({ settings: { CLIENT_URL: clientUrl } });
    await createAccount(server, ada);
    await createAccount(server, mallory);
    await using site = await foreignSite();
    await using browser = await visitorOfBoth(server, site, client);
    const page = await browser.tab();
    await page.goto(clientUrl);
    const dataOf = async (attempt: Call): Promise<unknown> => {
      const seen = await call(page.mainFrame(), server, attempt);
      expect(seen).toMatch(/^cors 200 /);
      return (JSON.parse(seen.slice('cors 200 '.length)) as { result: { data: unknown } }).result.data;
    };
    const { email, password, username } = ada;
    await dataOf(asJson('/trpc/auth.login', { email, password }));
    const { accessToken } = (await dataOf(asJson('/trpc/auth.refresh'))) as Grant;
    const me = withToken('/trpc/auth.me', accessToken);
    expect(await dataOf(me)).toMatchObject({ username, email });

    const before = await stateOf(server, browser);
    browser.expectFault(new RegExp(`from origin '(null|http://[^']+:${site.port})' has been blocked by CORS policy`));
    browser.expectFault(/ERR_FAILED/);
    const other = await browser.tab();
    for (const place of places) {
      const frame = await visit(other, site, place);
      for (const attempt of [
        asJson('/trpc/auth.logout'),
        asJson('/trpc/auth.refresh'),
        asJson('/trpc/auth.login', credentials),
        me,
      ])
        expect({ place, attempt, seen: await call(frame, server, attempt) }).toEqual({
          place,
          attempt,
          seen: 'nothing',
        });
    }
    expect(await stateOf(server, browser)).toEqual(before);

    expect(await dataOf(me)).toMatchObject({ username, email });
    expect(await dataOf(asJson('/trpc/auth.logout'))).toBeNull();
    expect((await browser.context.cookies()).map(({ name }) => name)).not.toContain('__Host-refreshToken');
  });

  it('cannot show the app in a frame', async () => {
    await using server = await startProduct();
    await using site = await foreignSite();
    await using browser = await visitorOfBoth(server, site);
    await register(await browser.tab(), ada);
    browser.expectFault(/ERR_BLOCKED_BY_RESPONSE|frame-ancestors/);
    const page = await browser.tab();
    for (const host of hosts) {
      await page.goto(site.at(host));
      for (const path of ['/', '/login', '/dashboard', '/healthz']) {
        const failed = page.waitForEvent('requestfailed', (request) => request.url() === server.url + path);
        await page.evaluate((address) => {
          const frame = document.createElement('iframe');
          frame.src = address;
          document.body.append(frame);
        }, server.url + path);
        const why = (await failed).failure()?.errorText;
        expect([host, path, why]).toEqual([host, path, 'net::ERR_BLOCKED_BY_RESPONSE']);
      }
    }
  });

  it('gets no reference to a window of the app, whichever opened the other', async () => {
    await using server = await startProduct();
    await using site = await foreignSite();
    await using browser = await visitorOfBoth(server, site);
    await register(await browser.tab(), ada);
    for (const host of hosts) {
      const foreign = await browser.tab();
      await foreign.goto(site.at(host));
      const opened = browser.context.waitForEvent('page');
      await foreign.evaluate(
        (address) => Object.assign(window, { ours: window.open(address) }),
        `${server.url}/dashboard`,
      );
      const ours = await opened;
      await seesDashboardOf(ours, ada);
      expect([host, await ours.evaluate(() => window.opener as unknown)]).toEqual([host, null]);
      // To its opener the window looks closed.
      await foreign.waitForFunction(() => (window as unknown as { ours: Window }).ours.closed);

      const openedByOurs = browser.context.waitForEvent('page');
      await ours.evaluate((address) => void window.open(address), site.at(host));
      const theirs = await openedByOurs;
      await theirs.waitForURL(`${site.at(host)}/`);
      expect([host, await theirs.evaluate(() => window.opener as unknown)]).toEqual([host, null]);
    }
  });

  it('cannot use images, scripts or styles of the app', async () => {
    await using server = await startProduct();
    await using site = await foreignSite();
    const html = await (await fetch(server.url)).text();
    const [script] = /\/assets\/[^"]+\.js/.exec(html)!;
    const [sheet] = /\/assets\/[^"]+\.css/.exec(html)!;
    await using browser = await visitorOfBoth(server, site);
    await register(await browser.tab(), ada);
    browser.expectFault(/ERR_BLOCKED_BY_RESPONSE\.NotSameOrigin/);
    const page = await browser.tab();
    for (const host of hosts) {
      await page.goto(site.at(host));
      for (const [tag, attributes] of [
        ['img', { src: `${server.url}/latchkey.svg` }],
        ['script', { src: server.url + script }],
        ['link', { rel: 'stylesheet', href: server.url + sheet }],
        ['script', { src: `${server.url}/trpc/auth.me` }],
      ] as const) {
        const outcome = await page.evaluate(
          ({ tag, attributes }) =>
            new Promise<string>((resolve) => {
              const element = Object.assign(document.createElement(tag), attributes);
              for (const type of ['load', 'error']) element.addEventListener(type, () => resolve(type));
              document.head.append(element);
            }),
          { tag, attributes },
        );
        expect({ host, tag, attributes, outcome }).toEqual({ host, tag, attributes, outcome: 'error' });
      }
    }
  });
});
