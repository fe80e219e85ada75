import type { Browser, BrowserContext, BrowserContextOptions, Page, Request } from 'playwright-core';
import { afterAll, expect } from 'vitest';
import { launchChromium } from './chromium.ts';

/**
 * Per browser step. Longer than the pauses of a page between two attempts (30 s), and than a stream takes to look at the database
 * for itself (13 s); shorter than the test timeout, which leaves time for cleanup.
 */
const STEP_TIMEOUT_MS = 60_000;

let launched: Promise<Browser> | undefined;

afterAll(async () => {
  const browser = await launched;
  launched = undefined;
  await browser?.close();
});

export interface Visitor extends AsyncDisposable {
  context: BrowserContext;
  tab(): Promise<Page>;
  requests: readonly Request[];
  calls(procedure: string): number;
  /** Allows a fault that would otherwise fail the test, written like `401 POST /trpc/auth.login`. */
  expectFault(pattern: RegExp): void;
  alsoVisits(origin: string): void;
}

/**
 * Opens a browser context for the site. Disposing of it fails the test on anything unexpected: console messages
 * (which include CSP violations), exceptions, failed requests, or requests to other origins.
 */
export async function visitor(url: string, options: BrowserContextOptions = {}): Promise<Visitor> {
  launched ??= launchChromium();
  const browser = await launched;
  return visitorWith(await browser.newContext({ baseURL: url, locale: 'en', ...options }), url);
}

export function visitorWith(context: BrowserContext, url: string): Visitor {
  context.setDefaultTimeout(STEP_TIMEOUT_MS);

  const faults: string[] = [];
  const expected: RegExp[] = [];
  const origins = new Set([url]);
  const requests: Request[] = [];
  const short = (address: string) => (address.startsWith(url) ? address.slice(url.length) : address);
  const said = (request: Request) => `${request.method()} ${short(request.url())}`;

  /** Leaving a page cuts off what it is still reading. */
  const readsAborted: Request[] = [];
  const isNavigatedAfter = (request: Request) =>
    requests.slice(requests.indexOf(request) + 1).some((later) => later.isNavigationRequest());

  context.on('console', (message) => {
    faults.push(`console ${message.type()}: ${message.text()} (${short(message.location().url)})`);
  });
  context.on('weberror', (error) => faults.push(`exception: ${error.error().stack ?? error.error().message}`));
  context.on('request', (request) => {
    requests.push(request);
    const { protocol, origin } = new URL(request.url());
    if (!origins.has(origin) && protocol !== 'data:' && protocol !== 'blob:')
      faults.push(`other origin: ${said(request)}`);
  });
  context.on('requestfailed', (request) => {
    const isAborted = request.failure()?.errorText === 'net::ERR_ABORTED';
    // Streams only ever end by being aborted.
    if (isAborted && isStream(request)) return;
    if (isAborted && request.method() === 'GET') readsAborted.push(request);
    else faults.push(`failed: ${said(request)}: ${request.failure()?.errorText ?? 'unknown reason'}`);
  });
  context.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${response.status()} ${said(response.request())}`);
  });

  return {
    context,
    tab: () => context.newPage(),
    requests,
    calls: (procedure) => requests.filter((request) => proceduresOf(request).includes(procedure)).length,
    expectFault: (pattern) => void expected.push(pattern),
    alsoVisits: (origin) => void origins.add(origin),
    async [Symbol.asyncDispose]() {
      // Before closing, which aborts requests in flight.
      for (const request of readsAborted)
        if (!isNavigatedAfter(request)) faults.push(`failed: ${said(request)}: net::ERR_ABORTED`);
      const unexpected = faults.filter((fault) => !expected.some((pattern) => pattern.test(fault)));
      // Otherwise a handler that is still at work would fail for want of its page.
      for (const routed of [context, ...context.pages()]) await routed.unrouteAll({ behavior: 'ignoreErrors' });
      await context.close();
      // Soft, to be reported along with the actual failure, which it often explains.
      expect.soft(unexpected, 'unexpected browser faults').toEqual([]);
    },
  };
}

const isStream = (request: Request) => request.headers().accept === 'text/event-stream';

function proceduresOf(request: Request): string[] {
  const path = new URL(request.url()).pathname;
  return path.startsWith('/trpc/') ? decodeURIComponent(path.slice('/trpc/'.length)).split(',') : [];
}
