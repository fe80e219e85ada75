import { createHash, createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { testWorld, type TestClient, type World } from './testing/world.ts';

const ACCESS = 'an access secret of these tests, 32 bytes';
const REFRESH = 'a refresh secret of these tests, 32 bytes';
const keys = { accessSecrets: [ACCESS], refreshSecrets: [REFRESH] };

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token as the server itself would sign it, whatever it says. */
function forge(typ: string, claims: object, secret: string): string {
  const kid = createHash('sha256').update(`kid:${secret}`).digest('base64url').slice(0, 8);
  const input = `${encode({ alg: 'HS256', typ, kid })}.${encode(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** The claims of a token of a client's. */
const claimsOf = (token = '') =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

/** Bytes as they are, in Latin-1: a client library would refuse or correct them. */
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

const count = (world: World, table: 'sessions' | 'users' | 'audit_events') =>
  (world.services.db.$client.prepare(`select count(*) as n from ${table}`).get() as { n: number }).n;

const sessionRows = (world: World) => world.services.db.$client.prepare('select * from sessions order by id').all();

describe('a token signed with our own secret', () => {
  test('is good for one thing only', async () => {
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
      // Generation 1 rotates at once, and its copy is repeated to whoever comes with it.
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

  test.each<[string, (own: TestClient, other: TestClient) => object]>([
    [
      "somebody else's session",
      (own, other) => ({ ...claimsOf(own.accessToken), sid: claimsOf(other.accessToken)['sid'] }),
    ],
    [
      "somebody else's name",
      (own, other) => ({ ...claimsOf(own.accessToken), sub: claimsOf(other.accessToken)['sub'] }),
    ],
    ['a session that there is not', (own) => ({ ...claimsOf(own.accessToken), sid: 'x' })],
  ])('and %s opens and ends nothing', async (_, forged) => {
    await using world = await testWorld(keys);
    const [own, other] = [world.client(), world.client()];
    await own.register();
    await other.register();
    const before = sessionRows(world);
    const { gat: __, ...claims } = forged(own, other) as { gat: number };
    const thief = world.client();
    thief.accessToken = forge('at+jwt', forged(own, other), ACCESS);
    thief.cookie = forge('rt+jwt', claims, REFRESH);
    for (const answer of [await thief.query('auth.me'), await thief.mutate('auth.refresh')])
      expect([answer.failure?.code, answer.setCookie]).toEqual(['session_ended', undefined]);
    expect(sessionRows(world)).toEqual(before);
  });

  test.each<Record<string, unknown>>([
    { exp: undefined },
    { exp: 1e21 },
    { exp: '9999999999' },
    { iat: 4_000_000_000, exp: 4_000_000_900 },
    { aud: ['latchkey'] },
    { iss: 'Latchkey' },
    { gen: 2 ** 53 },
    { gat: null },
  ])('but with %j is no token', async (change) => {
    await using world = await testWorld(keys);
    const client = world.client();
    await client.register();
    client.accessToken = forge('at+jwt', { ...claimsOf(client.accessToken), ...change }, ACCESS);
    expect((await client.query('auth.me')).failure).toEqual({ code: 'access_token_invalid' });
  });
});

test('a token counts where it belongs, and nowhere else', async () => {
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

describe('the cookie', () => {
  const NAME = '__Host-refreshToken';
  const shapes: [string, (token: string) => string, 200 | 401][] = [
    ['as a browser sends it', (token) => `Cookie: a=b; ${NAME}=${token}\r\n`, 200],
    ['in a header of its own', (token) => `Cookie: a=b\r\nCookie: ${NAME}=${token}\r\n`, 200],
    ['twice, in two headers', (token) => `Cookie: ${NAME}=${token}\r\nCookie: ${NAME}=${token}\r\n`, 401],
    ['twice, of which one is empty', (token) => `Cookie: ${NAME}=; ${NAME}=${token}\r\n`, 401],
    ['in quotes', (token) => `Cookie: ${NAME}="${token}"\r\n`, 401],
    ['hidden in the value of another', (token) => `Cookie: a="; ${NAME}=x"; ${NAME}=${token}\r\n`, 401],
    ['with a space behind its name', (token) => `Cookie: ${NAME} =${token}\r\n`, 401],
    ['percent-encoded', (token) => `Cookie: ${NAME}=${token.replaceAll('.', '%2E')}\r\n`, 401],
    ['with an attribute of old', (token) => `Cookie: $Version=1; $Path=/; ${NAME}=${token}\r\n`, 200],
    ['with bytes beyond ASCII', (token) => `Cookie: ${NAME}=${token}\u00ff\r\n`, 401],
  ];

  test('counts in one shape only', async () => {
    await using world = await testWorld();
    for (const [shape, headers, status] of shapes) {
      const client = world.client();
      await client.register();
      const answer = await refreshWith(world, headers(client.cookie ?? ''));
      expect([shape, answer.status, answer.head.includes('Set-Cookie')]).toEqual([shape, status, status === 200]);
      expect((await client.query('auth.me')).status).toBe(200);
    }
  });

  // Was open once: U+00A0 is cut off like a space, but to a browser this is another name, which any host of
  // the domain may set: the prefix does not protect it.
  test.each(['\u00a0', '\ufeff'])('behind %j is another one', async (space) => {
    const { tokenCookie } = await import('./auth/sessions/cookies.ts');
    const request = { headers: { cookie: `a=b; ${space}${NAME}=evil` } } as Parameters<
      ReturnType<typeof tokenCookie>['read']
    >[0];
    expect(tokenCookie('refreshToken', { production: true }).read(request)).toEqual({ kind: 'none' });
  });
});

describe('where a request comes from', () => {
  const own = 'own';
  const sites = ['same-origin', 'none', undefined, 'same-site', 'cross-site', 'bogus', ''];
  const origins = [own, 'https://evil.test', 'null', '', undefined];

  test.each(sites)('Sec-Fetch-Site %j and the Origin decide, with a cookie and without', async (site) => {
    await using world = await testWorld();
    for (const origin of origins) {
      const client = world.client();
      await client.register();
      const allowed = origin === own || (origin === undefined && sites.indexOf(site) < 3);
      const headers = [
        ...(origin === undefined ? [] : [`Origin: ${origin === own ? 'http://x' : origin}\r\n`]),
        ...(site === undefined ? [] : [`Sec-Fetch-Site: ${site}\r\n`]),
      ].join('');
      const before = sessionRows(world);
      const anonymous = await refreshWith(world, headers);
      expect([origin, anonymous.status]).toEqual([origin, allowed ? 401 : 403]);
      const known = await refreshWith(world, `${headers}Cookie: __Host-refreshToken=${client.cookie}\r\n`);
      const rotated = known.head.includes('Set-Cookie');
      expect([origin, known.status, rotated]).toEqual([origin, allowed ? 200 : 403, allowed]);
      expect(allowed || isDeepStrictEqual(sessionRows(world), before)).toBe(true);
    }
  });

  // Was open once: Each spelling of the header counts as another refusal.
  test('is noted once in a minute, whatever it says', async () => {
    await using world = await testWorld();
    for (let index = 0; index < 20; index += 1)
      await world.client().mutate('auth.logout', undefined, { headers: { origin: `https://evil-${index}.test` } });
    expect(count(world, 'audit_events')).toBe(1);
  });
});

describe('a target that is no URL', () => {
  // Was open once: `new URL` in the door throws, or `Request` in tRPC does.
  test.each([
    ['/trpc//[', 'x'],
    ['/trpc//a:b', 'x'],
    ['/trpc/\\a:b', 'x'],
    ['/trpc//?batch=1', 'x'],
    ['http://x:99999/trpc/auth.me', 'x'],
    ['/trpc/auth.me', 'a@b'],
  ])('%s at %s is a mistake of the caller, in JSON', async (target, host) => {
    await using world = await testWorld();
    const answer = await raw(world, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect([400, 404]).toContain(answer.status);
    expect(answer.head.toLowerCase()).toContain('content-type: application/json');
    expect(world.log.filter((line) => line.includes('"level":50'))).toEqual([]);
  });
});

describe('guessing over HTTP', () => {
  const spread = (index: number) => `10.${index >> 8}.${index & 255}.1`;

  test.each<[string, number, (index: number) => { email: string; from?: string }]>([
    [
      'one account, spelled in many ways',
      11,
      (index) => ({ email: ['ADA@example.com', ' ada@Example.COM'][index % 2] ?? '' }),
    ],
    ['one account from many addresses', 11, (index) => ({ email: 'ada@example.com', from: spread(index) })],
    ['many accounts from one address', 100, (index) => ({ email: `p${index}@example.com` })],
    ['many accounts from one /64', 100, (index) => ({ email: `p${index}@example.com`, from: `2001:db8::${index}` })],
    [
      'many accounts, with addresses made up',
      100,
      (index) => ({ email: `p${index}@example.com`, from: `${spread(index)}, 192.0.2.7` }),
    ],
  ])('%s gets %i tries', async (_, tries, guess) => {
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

test('a stream is opened by a token in the header only, and a connection that breaks gives its place back', async () => {
  await using world = await testWorld();
  const client = world.client();
  await client.register();
  const port = Number(new URL(world.url).port);
  /** Opens a stream, and has it broken off by us as soon as its first event is here. @returns that event */
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
  // Ten have a place; the server learns of each that broke a little later.
  let opened = 0;
  while (opened < 30) if ((await open(bearer)) === '"username"') opened += 1;
  expect(world.log.filter((line) => /"level":[56]0/.test(line))).toEqual([]);
});
