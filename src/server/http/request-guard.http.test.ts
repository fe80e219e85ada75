import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { testWorld } from '../testing/world.ts';

const CLIENT = 'https://app.example.com';
const json = { 'content-type': 'application/json' };

const rowCount = (world: Awaited<ReturnType<typeof testWorld>>) =>
  world.services.db.$client.prepare('select (select count(*) from users) + (select count(*) from sessions) as n').get();

/** Sends raw bytes, which a client would correct. @returns the first line of the response */
function raw(url: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.end(bytes));
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(text.split('\r\n')[0] ?? ''));
  });
}

describe('the check of the content type', () => {
  it.each([
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'],
    ['application/octet-stream', '{}'],
    ['application/x-www-form-urlencoded', 'a=b'],
    ['text/plain', '{}'],
    ['text/plain;charset=application/json', '{}'],
    ['application/jsonp', '{}'],
    ['application/json; charset=utf-16', '{}'],
    ['application/json, text/plain', '{}'],
  ])('keeps %s from every procedure', async (type, body) => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    for (const path of ['auth.logout', 'auth.refresh', 'auth.login', 'auth.nothing']) {
      const answer = await client.mutate(path, undefined, { body, headers: { 'content-type': type } });
      expect([answer.status, answer.failure, answer.setCookie]).toEqual([
        415,
        { code: 'unsupported_content' },
        undefined,
      ]);
    }
    expect((await client.query('auth.me')).status).toBe(200);
  });

  it('keeps a body without a type, or a compressed one, from every procedure', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const untyped = await fetch(`${world.url}/trpc/auth.logout`, { method: 'POST', body: new Blob(['{}']) });
    expect(untyped.status).toBe(415);
    const headers = { 'content-encoding': 'gzip' };
    expect((await client.mutate('auth.logout', {}, { headers })).failure).toEqual({ code: 'unsupported_content' });
    expect((await client.query('auth.me')).status).toBe(200);
  });

  it.each(['', '{', 'x', '[1,', '"\u0000"', '{"a":1}}', '\ufeff{', '['.repeat(20_000)])(
    'answers invalid_input to a body that is not JSON (%j)',
    async (body) => {
      await using world = await testWorld();
      const answer = await world.client().mutate('auth.login', undefined, { body });
      expect(answer.status).toBe(400);
      expect(answer.failure?.code).toBe('invalid_input');
    },
  );

  it('answers invalid_input to a body that is not UTF-8, rather than misreading it', async () => {
    await using world = await testWorld();
    const body = Buffer.from('{"email":"a@b.co","password":"\xff\xff\xff\xff\xff\xff\xff\xff"}', 'latin1');
    const answer = await world.client().mutate('auth.login', undefined, { body });
    expect([answer.status, answer.failure]).toEqual([400, { code: 'invalid_input', fields: {} }]);
  });

  it.each(['null', '[]', '"text"', '7', 'true'])(
    'answers invalid_input to an input that is not an object (%s)',
    async (body) => {
      await using world = await testWorld();
      const answer = await world.client().mutate('auth.login', undefined, { body });
      expect([answer.status, answer.failure?.code]).toEqual([400, 'invalid_input']);
    },
  );

  it('refuses a body over 32 KB, even for a procedure without an input', async () => {
    await using world = await testWorld();
    const client = world.client();
    for (const path of ['auth.login', 'auth.logout', 'auth.refresh']) {
      const answer = await client.mutate(path, { padding: 'x'.repeat(33_000) });
      expect([answer.status, answer.failure]).toEqual([413, { code: 'payload_too_large' }]);
    }
  });

  it('stops reading an endless body', async () => {
    await using world = await testWorld();
    const status = await new Promise((resolve, reject) => {
      const req = request(`${world.url}/trpc/auth.logout`, { method: 'POST', headers: json }, (res) => {
        resolve(res.statusCode);
        req.destroy();
      });
      req.on('error', reject);
      const pump = () => {
        while (!req.destroyed && req.write('x'.repeat(4096)));
      };
      req.on('drain', pump);
      pump();
    });
    expect(status).toBe(413);
  });

  it('treats __proto__ and constructor as any other unknown field', async () => {
    await using world = await testWorld();
    const client = world.client();
    for (const body of ['{"__proto__":{"isAdmin":true}}', '{"constructor":{"prototype":{"isAdmin":true}}}']) {
      const answer = await client.mutate('auth.register', undefined, { body });
      expect([answer.status, answer.failure?.code]).toEqual([400, 'invalid_input']);
    }
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });
});

describe('the check of the origin', () => {
  it.each([
    'https://evil.test',
    'null',
    'http://localhost:1',
    'https://app.example.com.evil.test',
    'http://app.example.com',
    'https://app.example.com:444',
    'https://sub.app.example.com',
  ])('refuses a call from %s, without any effect', async (origin) => {
    await using world = await testWorld({ clientUrl: CLIENT });
    const client = world.client();
    await client.register();
    for (const path of ['auth.logout', 'auth.refresh']) {
      const answer = await client.mutate(path, undefined, { headers: { origin } });
      expect([answer.status, answer.failure, answer.setCookie]).toEqual([
        403,
        { code: 'origin_not_allowed' },
        undefined,
      ]);
      for (const name of answer.headers.keys()) expect(name).not.toMatch(/^access-control-/);
      expect(answer.headers.get('vary')).toContain('Origin');
    }
    expect((await client.query('auth.me', { headers: { origin } })).status).toBe(403);
    expect((await client.query('auth.me')).status).toBe(200);
  });

  it("allows this server's own pages, and those of CLIENT_URL with credentials", async () => {
    await using world = await testWorld({ clientUrl: CLIENT });
    const client = world.client();
    await client.register();
    const own = await client.query('auth.me', { headers: { origin: world.url } });
    expect([own.status, own.headers.get('access-control-allow-origin')]).toEqual([200, null]);
    const theirs = await client.query('auth.me', { headers: { origin: CLIENT } });
    expect(theirs.status).toBe(200);
    expect(theirs.headers.get('access-control-allow-origin')).toBe(CLIENT);
    expect(theirs.headers.get('access-control-allow-credentials')).toBe('true');
    expect(theirs.headers.get('vary')).toContain('Origin');
  });

  it('answers a preflight only from CLIENT_URL', async () => {
    const ask = (url: string, origin: string) =>
      fetch(`${url}/trpc/auth.refresh`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
      });
    await using world = await testWorld({ clientUrl: CLIENT });
    const allowed = await ask(world.url, CLIENT);
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([204, CLIENT]);
    // Like every other response.
    expect(allowed.headers.get('x-request-id')).not.toBeNull();
    expect(allowed.headers.get('x-content-type-options')).toBe('nosniff');
    expect(allowed.headers.get('cache-control')).toBe('no-store');
    const evil = await ask(world.url, 'https://evil.test');
    expect(evil.status).toBe(405);
    for (const name of evil.headers.keys()) expect(name).not.toMatch(/^access-control-/);
    await using closed = await testWorld();
    const refused = await ask(closed.url, CLIENT);
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([405, null]);
  });

  it('goes by the host that a trusted proxy forwards', async () => {
    await using world = await testWorld({ trustProxy: 1 });
    const headers = { origin: CLIENT, 'x-forwarded-host': 'app.example.com', 'x-forwarded-proto': 'https' };
    expect((await world.client().mutate('auth.logout', undefined, { headers })).status).toBe(200);
    // With the default port, which a browser omits.
    const withPort = { ...headers, 'x-forwarded-host': 'app.example.com:443' };
    expect((await world.client().mutate('auth.logout', undefined, { headers: withPort })).status).toBe(200);
    await using direct = await testWorld();
    expect((await direct.client().mutate('auth.logout', undefined, { headers })).status).toBe(403);
  });

  it('treats a request without a host as foreign', async () => {
    await using world = await testWorld();
    const post = 'POST /trpc/auth.logout HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 0\r\n';
    expect(await raw(world.url, `${post}\r\n`)).toBe('HTTP/1.1 200 OK');
    expect(await raw(world.url, `${post}Origin: http://undefined\r\n\r\n`)).toBe('HTTP/1.1 403 Forbidden');
  });

  it.each(['/trpc/auth.logout', '/healthz'])('refuses two hosts for %s', async (path) => {
    await using world = await testWorld();
    const head = `POST ${path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 0\r\n`;
    expect(await raw(world.url, `${head}Host: x\r\nHost: y\r\n\r\n`)).toBe('HTTP/1.1 400 Bad Request');
  });
});

describe('the check of the batch', () => {
  const calls = (path: string, count: number) => `${Array<string>(count).fill(path).join(',')}?batch=1`;

  it('allows up to 20 queries', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    expect((await client.query(calls('auth.me', 20))).status).toBe(200);
    const refused = await client.query(calls('auth.me', 21));
    expect([refused.status, refused.failure]).toEqual([400, { code: 'batch_refused' }]);
    expect((await client.query(calls('auth.me', 1_000))).failure).toEqual({ code: 'batch_refused' });
  });

  it.each(['auth.register', 'auth.login', 'auth.refresh', 'auth.logout'])(
    'refuses %s in a batch, however its path is spelled',
    async (path) => {
      await using world = await testWorld();
      const client = world.client();
      await client.register();
      const before = rowCount(world);
      const spellings = [
        `${path},${path}?batch=1`,
        `${path},auth.nothing?batch=1`,
        `auth.me,${path}?batch=1`,
        `${path}%2C${path}?batch=1`,
        `/${path},${path}?batch=1`,
        `./${path},${path}?batch=1`,
        `${path.replace('.', '%2E')},${path}?batch=1`,
        `${path},${path}?batch=1&batch=0`,
      ];
      for (const spelling of spellings) {
        const answer = await client.mutate(spelling, {});
        expect([spelling, answer.failure, answer.setCookie]).toEqual([spelling, { code: 'batch_refused' }, undefined]);
      }
      expect(rowCount(world)).toEqual(before);
      expect((await client.query('auth.me')).status).toBe(200);
    },
  );

  it('allows a batch of one', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const { body, setCookie } = await client.mutate('auth.logout?batch=1', {});
    expect([body, setCookie]).toEqual([[{ result: { data: null } }], expect.stringContaining('__Host-refreshToken=;')]);
  });

  it.each<Record<string, string>>([{ 'trpc-accept': 'application/jsonl' }, { accept: 'text/html, application/jsonl' }])(
    'never streams a procedure that touches the cookie (%j)',
    async (headers) => {
      await using world = await testWorld();
      const client = world.client();
      const { user, password } = await client.register();
      const before = rowCount(world);
      for (const path of ['auth.login?batch=1', 'auth.login']) {
        const answer = await client.mutate(path, { 0: { email: user.email, password } }, { headers });
        expect([answer.status, answer.failure]).toEqual([400, { code: 'batch_refused' }]);
      }
      expect(rowCount(world)).toEqual(before);
      expect((await client.query('auth.me?batch=1', { headers })).status).toBe(200);
    },
  );
});

describe('paths and methods', () => {
  it('allows mutations only by POST', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND', 'TRACE']) {
      // Raw, because `fetch` refuses to send some of these.
      const line = await raw(
        world.url,
        `${method} /trpc/auth.logout HTTP/1.1\r\nHost: x\r\nCookie: __Host-refreshToken=${client.cookie}\r\nConnection: close\r\n\r\n`,
      );
      expect([method, line]).toEqual([method, 'HTTP/1.1 405 Method Not Allowed']);
    }
    expect((await client.mutate('auth.me')).status).toBe(405);
    expect((await client.query('auth.me')).status).toBe(200);
  });

  it.each([
    ['nothing', 404],
    ['auth', 404],
    ['', 404],
    ['.', 404],
    ['then', 404],
    ['__proto__', 404],
    ['constructor', 404],
    ['auth.__proto__', 404],
    ['auth.constructor.prototype', 404],
    ['toString', 404],
    ['%00', 404],
    ['%E0%A4%A', 400],
    ['auth.me%E0%A4%A,x?batch=1', 400],
    ['auth.me?input=%7B', 401],
    ['auth.me?connectionParams=%7B', 400],
    ['auth.me?input[__proto__][x]=1&batch[]=1', 401],
  ])('answers /trpc/%s with %i in JSON', async (path, status) => {
    await using world = await testWorld();
    const response = await fetch(`${world.url}/trpc/${path}`);
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toContain('application/json');
    const body = (await response.json()) as { error: { data: { httpStatus: number } } };
    expect(body.error.data.httpStatus).toBe(status);
  });

  it('never pass on a request whose length is ambiguous', async () => {
    await using world = await testWorld();
    const post = 'POST /trpc/auth.logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    for (const bytes of [
      `${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      `${post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
      `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    ])
      expect(await raw(world.url, bytes)).toBe('HTTP/1.1 400 Bad Request');
  });
});

describe('every answer', () => {
  it('is uncacheable, has a type and an ID, and does not name the server software', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const ids = new Set<string | null>();
    for (const answer of [
      await client.query('auth.me'),
      await client.query('auth.nothing'),
      await client.mutate('auth.refresh', undefined, { headers: { origin: 'https://evil.test' } }),
      await client.mutate('auth.login', undefined, { body: '{' }),
      await client.query('%E0%A4%A'),
      await client.mutate('auth.logout'),
    ]) {
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(answer.headers.get('content-type')).toContain('application/json');
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer.headers.get('x-powered-by')).toBeNull();
      ids.add(answer.headers.get('x-request-id'));
    }
    expect(ids.size).toBe(6);
    expect(ids).not.toContain(null);
  });
});
