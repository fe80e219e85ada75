import type { Browser, BrowserContext, BrowserContextOptions, Page, Request } from 'playwright-core';
import { afterAll, expect } from 'vitest';
import { launchChromium } from './chromium.ts';

/** What a person waits for before they give up, in milliseconds. Less than a story's own limit, so that it can clean up. */
const PATIENCE = 15_000;

let launched: Promise<Browser> | undefined;

// One browser per file: launched by its first story, closed after its last.
afterAll(async () => {
  const browser = await launched;
  launched = undefined;
  await browser?.close();
});

/** Somebody with a browser of their own: its cookies, its storage, its tabs. */
export interface Visitor extends AsyncDisposable {
  context: BrowserContext;
  /** Opens another tab. */
  tab(): Promise<Page>;
  /** All requests so far, of all tabs. */
  requests: readonly Request[];
  /** The calls of a procedure so far, be they batched with others or not. */
  calls(procedure: string): number;
  /**
   * Announces what would otherwise fail the story: a console message, or a request that fails or is refused, as they are
   * listed at its end, such as `401 POST /trpc/auth.login`.
   */
  expectFault(pattern: RegExp): void;
  /** Announces that they also go to another site, by its origin: requests to it are no fault then. */
  alsoVisits(origin: string): void;
}

/**
 * A visitor of the site at `url`. When the story ends it fails if their browser had anything to complain about: a message
 * on the console (violations of the content security policy are among them), an exception, a request that failed or was
 * refused, or one to anybody else.
 */
export async function visitor(url: string, options: BrowserContextOptions = {}): Promise<Visitor> {
  launched ??= launchChromium();
  const browser = await launched;
  return visitorWith(await browser.newContext({ baseURL: url, locale: 'en', ...options }), url);
}

/** The same with a browser of which everything else has been seen to. */
export function visitorWith(context: BrowserContext, url: string): Visitor {
  context.setDefaultTimeout(PATIENCE);

  const faults: string[] = [];
  const expected: RegExp[] = [];
  const origins = new Set([url]);
  const requests: Request[] = [];
  const short = (address: string) => (address.startsWith(url) ? address.slice(url.length) : address);
  const said = (request: Request) => `${request.method()} ${short(request.url())}`;

  context.on('console', (message) => {
    faults.push(`console ${message.type()}: ${message.text()} (${short(message.location().url)})`);
  });
  context.on('weberror', (error) => faults.push(`exception: ${error.error().stack ?? error.error().message}`));
  context.on('request', (request) => {
    requests.push(request);
    const { protocol, origin } = new URL(request.url());
    if (!origins.has(origin) && protocol !== 'data:' && protocol !== 'blob:')
      faults.push(`elsewhere: ${said(request)}`);
  });
  context.on('requestfailed', (request) => {
    // A stream has no other end than being called off.
    if (isStream(request) && request.failure()?.errorText === 'net::ERR_ABORTED') return;
    faults.push(`failed: ${said(request)}: ${request.failure()?.errorText ?? 'no reason'}`);
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
      // What the pages have under way at this moment is no fault of theirs.
      const unexpected = faults.filter((fault) => !expected.some((pattern) => pattern.test(fault)));
      await context.close();
      // Soft, so that it stands beside what else went wrong in the story, which it often explains.
      expect.soft(unexpected, 'what the browser complained about').toEqual([]);
    },
  };
}

const isStream = (request: Request) => request.headers().accept === 'text/event-stream';

function proceduresOf(request: Request): string[] {
  const path = new URL(request.url()).pathname;
  return path.startsWith('/trpc/') ? decodeURIComponent(path.slice('/trpc/'.length)).split(',') : [];
}
