import { createHash, createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { testWorld, type TestClient, type World } from './testing/world.ts';

const ACCESS = 'the access secret of these tests, 32 bytes';
const REFRESH = 'the refresh secret of these tests, 32 bytes';
const keys = { accessSecrets: [ACCESS], refreshSecrets: [REFRESH] };

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token that the server itself could have signed, with any claims. */
function forge(typ: string, claims: object, secret: string): string {
  const kid = createHash('sha256').update(`kid:${secret}`).digest('base64url').slice(0, 8);
  const input = `${encode({ alg: 'HS256', typ, kid })}.${encode(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const claimsOf = (token = '') =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

/** Sends exactly these bytes, as Latin-1, which a client library would reject or correct. */
function raw(world: World, bytes: string): Promise<{ status: number; head: string; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1', () => socket.write(bytes, 'latin1'));
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.on('error', reject);
    socket.on('close', () => {
      const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s);
      resolve({ status: Number(head.split(' ')[1]), head, body });
    });
  });
}

const refreshWith = (world: World, headers: string) =>
  raw(
    world,
    `POST /trpc/auth.refresh HTTP/1.1\r\nHost: x\r\n${headers}Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`,
  );

const sessionRows = (world: World) => world.sql('select * from sessions order by id');

describe('a token signed with our secret', () => {
  it('is accepted for its own purpose only', async () => {
    await using world = await testWorld(keys);
    const client = world.client();
    const { user, password } = await client.register();
    const login = await client.mutate('auth.login', { email: user.email, password });
    const device = login.headers
      .getSetCookie()
      .join()
      .match(/__Host-device=([^;]+)/)?.[1];
    const kinds = { access: client.accessToken ?? '', refresh: client.cookie ?? '', device: device ?? '' };
    for (const [kind, token] of Object.entries(kinds)) {
      const stranger = world.client();
      stranger.cookie = token;
      const headers = { authorization: `Bearer ${token}` };
      const called = await stranger.query('auth.me', { headers });
      const { failure } = await stranger.mutate('auth.refresh');
      // Generation 1 rotates immediately; presenting its token again is answered with the current generation.
      expect([kind, called.status, failure]).toEqual([
        kind,
        kind === 'access' ? 200 : 401,
        kind === 'refresh' ? undefined : { code: 'session_ended', reason: 'invalid' },
      ]);
    }
    const thief = world.client();
    for (const token of [kinds.access, kinds.device]) {
      thief.cookie = token;
      expect((await thief.mutate('auth.logout')).status).toBe(200);
    }
    expect((await client.query('auth.me')).status).toBe(200);
  });

  it.each<[string, (own: TestClient, other: TestClient) => object]>([
    [
      "somebody else's session",
      (own, other) => ({ ...claimsOf(own.accessToken), sid: claimsOf(other.accessToken)['sid'] }),
    ],
    [
      "somebody else's user id",
      (own, other) => ({ ...claimsOf(own.accessToken), sub: claimsOf(other.accessToken)['sub'] }),
    ],
    ['a session that does not exist', (own) => ({ ...claimsOf(own.accessToken), sid: 'x' })],
  ])('with %s grants no access and ends no session', async (_, forged) => {
    await using world = await testWorld(keys);
    const [own, other] = [world.client(), world.client()];
    await own.register();
    await other.register();
    const before = await sessionRows(world);
    const { gat: __, ...claims } = forged(own, other) as { gat: number };
    const thief = world.client();
    thief.accessToken = forge('at+jwt', forged(own, other), ACCESS);
    thief.cookie = forge('rt+jwt', claims, REFRESH);
    for (const answer of [await thief.query('auth.me'), await thief.mutate('auth.refresh')])
      expect([answer.failure?.code, answer.setCookie]).toEqual(['session_ended', undefined]);
    expect(await sessionRows(world)).toEqual(before);
  });

  it.each<Record<string, unknown>>([
    { exp: undefined },
    { exp: 1e21 },
    { exp: '9999999999' },
    { iat: 4_000_000_000, exp: 4_000_000_900 },
    { aud: ['latchkey'] },
    { iss: 'Latchkey' },
    { gen: 2 ** 53 },
    { gat: null },
  ])('is invalid with %j', async (change) => {
    await using world = await testWorld(keys);
    const client = world.client();
    await client.register();
    client.accessToken = forge('at+jwt', { ...claimsOf(client.accessToken), ...change }, ACCESS);
    expect((await client.query('auth.me')).failure).toEqual({ code: 'access_token_invalid' });
  });
});

describe('the access token', () => {
  it('is read from the Authorization header only', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const { cookie, accessToken } = client;
    Object.assign(client, { cookie: undefined, accessToken: undefined });
    const params = encodeURIComponent(JSON.stringify({ authorization: `Bearer ${accessToken}` }));
    for (const path of [`auth.me?access_token=${accessToken}`, `auth.me?connectionParams=${params}`])
      expect((await client.query(path)).failure).toEqual({ code: 'access_token_missing' });
    const bearer = { authorization: `Bearer ${cookie}` };
    expect((await client.mutate('auth.refresh', { refreshToken: cookie }, { headers: bearer })).failure).toEqual({
      code: 'session_ended',
      reason: 'none',
    });
  });
});

describe('the cookie', () => {
  const NAME = '__Host-refreshToken';
  const shapes: [string, (token: string) => string, 200 | 401][] = [
    ['as browsers send it', (token) => `Cookie: a=b; ${NAME}=${token}\r\n`, 200],
    ['in a second Cookie header', (token) => `Cookie: a=b\r\nCookie: ${NAME}=${token}\r\n`, 200],
    ['twice, in two Cookie headers', (token) => `Cookie: ${NAME}=${token}\r\nCookie: ${NAME}=${token}\r\n`, 401],
    ['twice, once empty', (token) => `Cookie: ${NAME}=; ${NAME}=${token}\r\n`, 401],
    ['in quotes', (token) => `Cookie: ${NAME}="${token}"\r\n`, 401],
    ['hidden in the value of another cookie', (token) => `Cookie: a="; ${NAME}=x"; ${NAME}=${token}\r\n`, 401],
    ['with a space after its name', (token) => `Cookie: ${NAME} =${token}\r\n`, 401],
    ['percent-encoded', (token) => `Cookie: ${NAME}=${token.replaceAll('.', '%2E')}\r\n`, 401],
    ['with RFC 2109 attributes', (token) => `Cookie: $Version=1; $Path=/; ${NAME}=${token}\r\n`, 200],
    ['with a byte beyond ASCII', (token) => `Cookie: ${NAME}=${token}\u00ff\r\n`, 401],
  ];

  it('is accepted in one form only', async () => {
    await using world = await testWorld();
    for (const [shape, headers, status] of shapes) {
      const client = world.client();
      await client.register();
      const answer = await refreshWith(world, headers(client.cookie ?? ''));
      expect([shape, answer.status, answer.head.includes('Set-Cookie')]).toEqual([shape, status, status === 200]);
      expect((await client.query('auth.me')).status).toBe(200);
    }
  });

  // Regression: `trim` strips U+00A0 like a space, but to a browser this is another name, without the
  // protected prefix, which any host of the domain can set.
  it.each(['\u00a0', '\ufeff'])('is another cookie if %j precedes its name', async (space) => {
    const { tokenCookie } = await import('./auth/sessions/cookies.ts');
    const request = { headers: { cookie: `a=b; ${space}${NAME}=evil` } } as Parameters<
      ReturnType<typeof tokenCookie>['read']
    >[0];
    expect(tokenCookie('refreshToken', { production: true }).read(request)).toEqual({ kind: 'none' });
  });
});

describe('the origin check', () => {
  const own = 'own';
  const sites = ['same-origin', 'none', undefined, 'same-site', 'cross-site', 'bogus', ''];
  const origins = [own, 'https://evil.test', 'null', '', undefined];

  it.each(sites)('decides by Origin and Sec-Fetch-Site %j, with and without a cookie', async (site) => {
    await using world = await testWorld();
    for (const origin of origins) {
      const client = world.client();
      await client.register();
      const allowed = origin === own || (origin === undefined && sites.indexOf(site) < 3);
      const headers = [
        ...(origin === undefined ? [] : [`Origin: ${origin === own ? 'http://x' : origin}\r\n`]),
        ...(site === undefined ? [] : [`Sec-Fetch-Site: ${site}\r\n`]),
      ].join('');
      const before = await sessionRows(world);
      const anonymous = await refreshWith(world, headers);
      expect([origin, anonymous.status]).toEqual([origin, allowed ? 401 : 403]);
      const known = await refreshWith(world, `${headers}Cookie: __Host-refreshToken=${client.cookie}\r\n`);
      const rotated = known.head.includes('Set-Cookie');
      expect([origin, known.status, rotated]).toEqual([origin, allowed ? 200 : 403, allowed]);
      expect(allowed || isDeepStrictEqual(await sessionRows(world), before)).toBe(true);
    }
  });

  // Regression: each value of the header was recorded separately.
  it('records a refusal once a minute, whatever the header says', async () => {
    await using world = await testWorld();
    for (let index = 0; index < 20; index += 1)
      await world.client().mutate('auth.logout', undefined, { headers: { origin: `https://evil-${index}.test` } });
    expect(await world.sql('select type from audit_events')).toHaveLength(1);
  });
});

describe('a request target that is not a URL', () => {
  // Regression: 500, because `new URL` in the guard, or `Request` in tRPC, throws on these.
  it.each([
    ['/trpc//[', 'x'],
    ['/trpc//a:b', 'x'],
    ['/trpc/\\a:b', 'x'],
    ['/trpc//?batch=1', 'x'],
    ['http://x:99999/trpc/auth.me', 'x'],
    ['/trpc/auth.me', 'a@b'],
  ])('gets a client error and not a page: %s at %s', async (target, host) => {
    await using world = await testWorld();
    const answer = await raw(world, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect([400, 404]).toContain(answer.status);
    // Express never sees a target with an impossible port, which is answered without a body.
    const type = /content-type: ([\w/]+)/i.exec(answer.head)?.[1];
    expect(type).toBe(target.startsWith('/') ? 'application/json' : undefined);
    expect(world.log.filter((line) => line.includes('"level":50'))).toEqual([]);
  });
});

describe('guessing passwords over HTTP', () => {
  const spread = (index: number) => `10.${index >> 8}.${index & 255}.1`;

  it.each<[string, number, (index: number) => { email: string; from?: string }]>([
    [
      'one account, spelled differently',
      11,
      (index) => ({ email: ['ADA@example.com', ' ada@Example.COM'][index % 2] ?? '' }),
    ],
    ['one account from many addresses', 11, (index) => ({ email: 'ada@example.com', from: spread(index) })],
    ['many accounts from one address', 100, (index) => ({ email: `p${index}@example.com` })],
    ['many accounts from one /64', 100, (index) => ({ email: `p${index}@example.com`, from: `2001:db8::${index}` })],
    [
      'many accounts with forged addresses',
      100,
      (index) => ({ email: `p${index}@example.com`, from: `${spread(index)}, 192.0.2.7` }),
    ],
  ])('limits %s to %i attempts', async (_, tries, guess) => {
    await using world = await testWorld({ trustProxy: 1 });
    await world.client().register('ada');
    let hashed = 0;
    const { checkPassword } = world.services.accounts;
    world.services.accounts.checkPassword = (input) => {
      hashed += 1;
      return checkPassword(input);
    };
    const answers = await Promise.all(
      Array.from({ length: 150 }, (__, index) => {
        const { email, from = '192.0.2.1' } = guess(index);
        const headers = { 'x-forwarded-for': from, 'x-real-ip': spread(index), forwarded: `for=${spread(index)}` };
        return world.client().mutate('auth.login', { email, password: 'wrong' }, { headers });
      }),
    );
    expect(hashed).toBe(tries);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(tries);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(150 - tries);
    expect(answers.some(({ headers }) => headers.has('set-cookie'))).toBe(false);
  });
});

describe('a stream', () => {
  it('opens only for a token in the header, and frees its slot when the connection breaks', async () => {
    await using world = await testWorld();
    const client = world.client();
    await client.register();
    const port = Number(new URL(world.url).port);
    /** Opens a stream and resets the connection at its first event. @returns that event */
    const open = (headers: string, method = 'GET') =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () =>
          socket.write(`${method} /trpc/auth.sessionEvents HTTP/1.1\r\nHost: x\r\n${headers}\r\n`),
        );
        let text = '';
        socket.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
          const event = /serialized-error|HTTP\/1.1 4\d\d|"username"/.exec(text)?.[0];
          if (event === undefined) return;
          socket.resetAndDestroy();
          resolve(event);
        });
        socket.on('error', reject);
      });
    const bearer = `Authorization: Bearer ${client.accessToken}\r\n`;
    expect(await open('')).toBe('serialized-error');
    expect(await open(`Cookie: __Host-refreshToken=${client.cookie}\r\n`)).toBe('serialized-error');
    expect(await open(bearer, 'HEAD')).toBe('HTTP/1.1 405');
    expect(await open(`${bearer}trpc-accept: application/jsonl\r\n`)).toBe('HTTP/1.1 400');
    // There are ten slots; the server notices each broken connection a little later.
    let opened = 0;
    while (opened < 30) if ((await open(bearer)) === '"username"') opened += 1;
    expect(world.log.filter((line) => /"level":[56]0/.test(line))).toEqual([]);
  });
});
