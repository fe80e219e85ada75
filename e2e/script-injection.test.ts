import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { ada, register, seesDashboardOf } from './support/people.ts';
import { startProduct } from './support/server.ts';
import { visitor } from './support/visitor.ts';

/** Text that an attacker wants to run. Each sets `window.ran` if it does. */
const texts = [
  '<script>ran=1</script>',
  '<img src=x onerror=ran=1>',
  '"><svg onload=ran=1>',
  '</title></script><script>ran=1</script>',
  '{{constructor.constructor("ran=1")()}}',
  'javascript:ran=1',
];

const hasRun = (page: Page) => page.evaluate(() => 'ran' in window);

/** Markup by the directive that blocks it. */
const markup: Record<string, string> = {
  'script-src-elem': '<script>ran=1</script><script src="data:text/javascript,ran=1"></script>',
  'script-src-attr': '<img src="data:," onerror="ran=1"><svg onload="ran=1"></svg>',
  'base-uri': '<base href="http://evil.localhost/">',
  'object-src': '<object data="/latchkey.svg"></object><embed src="/latchkey.svg">',
  'frame-src': '<iframe src="/login"></iframe><iframe src="http://evil.localhost/"></iframe>',
  'img-src': '<img src="http://evil.localhost/">',
  'style-src-elem': '<style>body { display: none }</style><link rel="stylesheet" href="http://evil.localhost/">',
  'style-src-attr': '<p style="position: fixed; inset: 0">Your session has ended.</p>',
  'media-src': '<audio src="http://evil.localhost/" preload="auto"></audio>',
};

interface Injected {
  /** The directives that have blocked something. */
  refused: string[];
}

describe('injected script', () => {
  it('does not run from an API response that a browser displays', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    browser.expectFault(/40[0145]/);
    for (const text of texts) {
      const written = encodeURIComponent(text);
      for (const address of [
        `/trpc/auth.me?input=${written}`,
        `/trpc/${written}`,
        `/trpc/auth.me,${written}?batch=1&input={}`,
        // Refused by the request guard, before tRPC.
        `/trpc/auth.login,${written}?batch=1&input={}`,
      ]) {
        await page.goto(address);
        expect({
          address,
          type: await page.evaluate(() => document.contentType),
          elements: await page.locator('img, svg, script').count(),
          ran: await hasRun(page),
        }).toEqual({ address, type: 'application/json', elements: 0, ran: false });
      }
    }
  });

  it('is shown as text where it is stored as a username or email', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    const elements = () => page.locator('body *').count();
    const before = await elements();
    for (const text of texts) {
      // No form accepts it, but an import or a person with access to the database could write it.
      await server.query('update users set username = $1, email = $2', text, `${text}@example.com`);
      await page.reload();
      await seesDashboardOf(page, { ...ada, username: text, email: `${text}@example.com` });
      expect({ text, elements: await elements(), ran: await hasRun(page) }).toEqual({
        text,
        elements: before,
        ran: false,
      });
    }
  });

  it('runs, loads and sends nothing if it gets into the page as markup', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await register(page, ada);
    await page.addInitScript(() => {
      const refused: Injected['refused'] = [];
      Object.assign(window, { refused });
      document.addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
    });
    await page.route('**/dashboard', async (route) => {
      const response = await route.fetch();
      const [head, body] = (await response.text()).split('<body>') as [string, string];
      const injected = `${Object.values(markup).join('')}
      <a href="javascript:ran=1">A link</a><form action="http://evil.localhost/"></form>`;
      await route.fulfill({ response, body: `${head}<body>${injected}${body}` });
    });
    // A request that is not blocked fails with another error, as nothing listens there.
    browser.alsoVisits('http://evil.localhost');
    browser.expectFault(/Content Security Policy|: csp$/);
    await page.reload();
    await seesDashboardOf(page, ada);
    await page.evaluate(() => {
      document.querySelector<HTMLAnchorElement>('a[href^=javascript]')!.click();
      document.querySelector('form')!.requestSubmit();
    });
    const directives = [...Object.keys(markup), 'form-action'];
    // Each is reported when the browser gets to it.
    await page.waitForFunction(
      (all) => all.every((directive) => (window as unknown as Injected).refused.includes(directive)),
      directives,
    );
    const refused = await page.evaluate(() => (window as unknown as Injected).refused);
    expect([...new Set(refused)].toSorted()).toEqual(directives.toSorted());
    expect(await page.evaluate(() => document.baseURI)).toBe(page.url());
    expect(await hasRun(page)).toBe(false);
  });

  it('cannot be turned into markup or code by the scripts of the app', async () => {
    await using server = await startProduct();
    await using browser = await visitor(server.url);
    const page = await browser.tab();
    await page.goto('/login');
    browser.expectFault(/TrustedHTML|TrustedScript/);
    const taken = await page.evaluate(() => {
      const html = '<img src=x onerror=ran=1>';
      const element = document.createElement('div');
      const sinks = {
        innerHTML: () => (element.innerHTML = html),
        outerHTML: () => (document.body.appendChild(element).outerHTML = html),
        insertAdjacentHTML: () => element.insertAdjacentHTML('beforeend', html),
        write: () => document.write(html),
        parseFromString: () => new DOMParser().parseFromString(html, 'text/html'),
        createContextualFragment: () => new Range().createContextualFragment(html),
        srcdoc: () => (document.createElement('iframe').srcdoc = html),
        script: () => (document.createElement('script').text = 'ran=1'),
        src: () => (document.createElement('script').src = 'data:text/javascript,ran=1'),
        setAttribute: () => element.setAttribute('onclick', 'ran=1'),
        Worker: () => new Worker('data:text/javascript,1'),
      };
      return Object.entries(sinks).flatMap(([name, use]) => {
        try {
          use();
          return [name];
        } catch {
          return [];
        }
      });
    });
    expect(taken).toEqual([]);
    expect(await hasRun(page)).toBe(false);
  });
});
