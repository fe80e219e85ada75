import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { install, startProcess, type ServerProcess } from '../testing/process.ts';

const PAGE = '<!doctype html><title>page</title>';

let server: ServerProcess;
let port: number;
const installation = install({ 'index.html': PAGE, 'assets/app-1a2b.js': 'app()' });

beforeAll(async () => {
  server = await startProcess(installation);
  port = Number(new URL(server.url ?? '').port);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  installation[Symbol.dispose]();
});

interface Raw {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** Sends the target as it is: a client library would normalize it. */
function send(method: string, target: string, headers: Record<string, string> = {}): Promise<Raw> {
  const all = { Host: `127.0.0.1:${port}`, Connection: 'close', Accept: 'text/html', ...headers };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`${method} ${target} HTTP/1.1\r\n${head.join('')}\r\n`),
    );
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.on('error', reject);
    socket.on('close', () => {
      const [top = '', ...rest] = text.split('\r\n\r\n');
      const [line = '', ...lines] = top.split('\r\n');
      resolve({
        status: Number(line.split(' ')[1]),
        headers: new Map(
          lines.map((each) => [each.slice(0, each.indexOf(':')).toLowerCase(), each.slice(each.indexOf(':') + 2)]),
        ),
        body: rest.join('\r\n\r\n'),
      });
    });
  });
}

/** The headers of every answer. */
const ALWAYS: Record<string, RegExp> = {
  'content-security-policy':
    /^default-src 'none';script-src 'self';.*frame-ancestors 'none';base-uri 'none';object-src 'none';require-trusted-types-for 'script'$/,
  'strict-transport-security': /^max-age=31536000; includeSubDomains$/,
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^DENY$/,
  'referrer-policy': /^no-referrer$/,
  'cross-origin-opener-policy': /^same-origin$/,
  'cross-origin-resource-policy': /^same-origin$/,
  'x-request-id': /^[\da-f-]{36}$/,
};

function expectSafe({ headers, body }: Raw): void {
  for (const [name, value] of Object.entries(ALWAYS))
    expect([name, headers.get(name)]).toEqual([name, expect.stringMatching(value)]);
  expect([headers.has('x-powered-by'), headers.has('server'), headers.has('access-control-allow-origin')]).toEqual([
    false,
    false,
    false,
  ]);
  // No path on disk, no stack trace, no system error code.
  expect(body).not.toMatch(/latchkey-|\/src\/|dist\/client|node_modules|\n +at |E[A-Z]{4,}:/);
}

const page = expect.objectContaining({ status: 200, body: PAGE });

describe('the page', () => {
  it.each(['/', '/login', '/dashboard?redirectTo=//evil.test', '/a/b/c', '//evil.test/login'])(
    'is served for %s, and revalidated each time',
    async (target) => {
      const answer = await send('GET', target);
      expect(answer).toEqual(page);
      expect(answer.headers.get('cache-control')).toBe('no-cache');
      expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expectSafe(answer);
    },
  );

  // Regression: it was not found.
  it('is served from a project in a hidden folder', async () => {
    using hidden = install({ 'index.html': PAGE }, '.latchkey-');
    await using there = await startProcess(hidden);
    expect(await (await fetch(`${there.url}/login`, { headers: { accept: 'text/html' } })).text()).toBe(PAGE);
  });

  it('has assets that may be cached forever', async () => {
    const answer = await send('GET', '/assets/app-1a2b.js', { Accept: '*/*' });
    expect([answer.status, answer.body, answer.headers.get('cache-control')]).toEqual([
      200,
      'app()',
      'public, max-age=31536000, immutable',
    ]);
    expectSafe(answer);
  });

  it.each(['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    'answers %s with the usual headers',
    async (method) => {
      for (const target of ['/', '/assets/app-1a2b.js', '/healthz']) {
        const answer = await send(method, target);
        expect(method === 'HEAD' ? [200] : [404, 405]).toContain(answer.status);
        expectSafe(answer);
      }
    },
  );
});

describe('a file', () => {
  it.each([
    '/../package.json',
    '/../../package.json',
    '/%2e%2e/%2e%2e/package.json',
    '/..%2f..%2fpackage.json',
    '/..%5c..%5cpackage.json',
    '/.%00./package.json',
    '/package.json',
    '/src/server/main.ts',
    '/data/latchkey.db',
    '/data/latchkey.db-wal',
    '/dist/client/index.html',
    '/nope.js',
    '/trpc/auth.me/x.css',
  ])('does not exist outside the built client: %s', async (target) => {
    const answer = await send('GET', target);
    expect([400, 404]).toContain(answer.status);
    expect(answer.body).not.toContain('latchkey"');
    expectSafe(answer);
  });

  // Regression: the error of `send` for a missing file, with its full path, reached the client.
  it.each(['/assets/nope.js', '/assets/', '/assets/app-1a2b.js.map', '/assets/<b>'])(
    'is not found at %s, without revealing where it would be, and may be there the next time',
    async (target) => {
      const answer = await send('GET', target);
      expect([400, 404]).toContain(answer.status);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expectSafe(answer);
    },
  );

  it.each([
    '/assets/../index.html',
    '/assets/..%2findex.html',
    '/assets/%2e%2e/%2e%2e/package.json',
    '/assets/%00',
    '/assets/%',
  ])('outside the assets is not served from %s', async (target) => {
    const answer = await send('GET', target);
    expect([400, 404]).toContain(answer.status);
    expectSafe(answer);
  });

  // Regression: names without an extension were answered with the page.
  it.each(['/.env', '/.git/HEAD', '/.well-known/x'])('that is hidden does not show the page: %s', async (target) => {
    expect((await send('GET', target)).status).toBe(404);
  });

  // Regression: a folder was redirected to itself, with a policy that lacked `frame-ancestors`.
  it.each(['/assets', '//evil.test/%2e%2e', '/assets//evil.test/..'])(
    'or folder never redirects: %s',
    async (target) => {
      const answer = await send('GET', target);
      expect(answer.headers.get('location')).toBeUndefined();
      expectSafe(answer);
    },
  );

  // Regression: the error was JSON with the content type of the file.
  it.each<[Record<string, string>, number]>([
    [{ Range: 'bytes=999-' }, 416],
    [{ 'If-Match': '"x"' }, 412],
  ])('answers in JSON if %j cannot be satisfied', async (headers, status) => {
    const answer = await send('GET', '/', headers);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/json');
  });
});

it('logs none of these requests as an error', () => {
  expect(server.output()).not.toMatch(/"level":[56]0/);
});
