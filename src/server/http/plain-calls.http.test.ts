import Database from 'better-sqlite3';
import { once } from 'node:events';
import { request, ServerResponse, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { testWorld, type World } from '../testing/world.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

interface Call {
  path: string;
  method?: 'GET' | 'POST';
  body?: string;
  headers?: OutgoingHttpHeaders;
}

/** Not with `fetch`, which creates the objects that are counted below. */
async function send(world: World, { path, method = 'GET', body, headers = {} }: Call) {
  const sent = request(`${world.url}/trpc/${path}`, {
    method,
    agent: false,
    headers: { ...(method === 'POST' ? { 'content-type': 'application/json' } : {}), ...headers },
  });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += chunk;
  return { status: answer.statusCode, headers: answer.headers, text };
}

/** Waits for log lines of requests, written when the response closes. */
async function closed(world: World, count: number): Promise<void> {
  while (world.log.filter((line) => line.includes('"msg":"request"')).length < count)
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
}

/** A response without what always differs, or depends on framing. */
async function answerTo(world: World, call: Call) {
  const { status, headers, text } = await send(world, call);
  const { 'x-request-id': id, date, 'content-length': length, 'transfer-encoding': encoding, ...rest } = headers;
  expect([typeof id, typeof date, typeof (length ?? encoding)]).toEqual(['string', 'string', 'string']);
  return { status, headers: rest, body: JSON.parse(text.replaceAll(String(id), 'ID')) as unknown };
}

const logged = (world: World) =>
  world.log
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ msg }) => msg === 'request')
    .map(({ procedures, outcome, status }) => ({ procedures, outcome, status }));

describe('a plain call', () => {
  // `connectionParams`, which nothing here reads, routes a call to tRPC's own adapter.
  const cases: [string, (token: string) => Call, ((world: World) => void)?][] = [
    ['a query', (token) => ({ path: 'auth.me', headers: { authorization: `Bearer ${token}` } })],
    ['a batch of one', (token) => ({ path: 'auth.me?batch=1', headers: { authorization: `Bearer ${token}` } })],
    ['a batch of two', (token) => ({ path: 'auth.me,auth.me?batch=1', headers: { authorization: `Bearer ${token}` } })],
    ['a path spelled oddly', (token) => ({ path: 'x/auth%2Eme', headers: { authorization: `Bearer ${token}` } })],
    ['no token', () => ({ path: 'auth.me' })],
    ['a batch that fails', () => ({ path: 'auth.me,auth.me?batch=1' })],
    ['an input of the query that is not JSON', () => ({ path: 'auth.me?input=%7B' })],
    ['a mutation', () => ({ path: 'auth.logout', method: 'POST' })],
    ['a mutation in a batch', () => ({ path: 'auth.logout?batch=1', method: 'POST', body: '{}' })],
    ['no input', () => ({ path: 'auth.login', method: 'POST' })],
    ['an input in the query of a mutation', () => ({ path: 'auth.login?input={}', method: 'POST', body: 'null' })],
    ['an input that is not an object', () => ({ path: 'auth.login', method: 'POST', body: '[]' })],
    ['wrong fields', () => ({ path: 'auth.login', method: 'POST', body: '{"email":1,"__proto__":{"password":"x"}}' })],
    [
      'a deeply nested input',
      () => ({ path: 'auth.login', method: 'POST', body: `{"email":${'['.repeat(15_000)}${']'.repeat(15_000)}}` }),
    ],
    ['inputs of a batch in an array', () => ({ path: 'auth.login?batch=1', method: 'POST', body: '[{}]' })],
    ['no inputs of a batch', () => ({ path: 'auth.login?batch=1', method: 'POST' })],
    ['null as the inputs of a batch', () => ({ path: 'auth.login?batch=1', method: 'POST', body: 'null' })],
    [
      'wrong credentials, in a batch',
      () => ({ path: 'auth.login?batch=1', method: 'POST', body: '{"0":{"email":"a@b.co","password":"x"}}' }),
    ],
    ['a page of CLIENT_URL', () => ({ path: 'auth.me', headers: { origin: 'https://app.example.com' } })],
    ['a server that is draining', () => ({ path: 'auth.me' }), (world) => world.services.drain()],
    [
      'a procedure that sets status and headers',
      () => ({ path: 'auth.logout', method: 'POST', headers: { origin: 'https://app.example.com' } }),
      ({ services }) =>
        (services.cookie.clear = (res) =>
          void res.status(202).set({ 'Cache-Control': 'private', Vary: 'x', 'Content-Type': 'text/plain' })),
    ],
    [
      'an unexpected error',
      () => ({ path: 'auth.login', method: 'POST', body: '{"email":"a@b.co","password":"x"}' }),
      ({ services }) => (services.accounts.checkPassword = () => Promise.reject(new Error('secret'))),
    ],
    [
      'a database that is gone',
      (token) => ({ path: 'auth.me', headers: { authorization: `Bearer ${token}` } }),
      ({ services }) => void services.db.$client.close(),
    ],
  ];

  it.each(cases)("is answered and logged as tRPC's own adapter does: %s", async (_, toCall, prepare) => {
    await using world = await testWorld({ clientUrl: 'https://app.example.com' });
    const { accessToken } = await world.client().register('ada');
    await closed(world, 1);
    prepare?.(world);
    const call = toCall(accessToken);
    const plain = await answerTo(world, call);
    const stock = await answerTo(world, {
      ...call,
      path: `${call.path}${call.path.includes('?') ? '&' : '?'}connectionParams=null`,
    });
    await closed(world, 3);
    expect(plain).toEqual(stock);
    const [, first, second] = logged(world);
    expect(first).toEqual(second);
    expect(first?.procedures).toContain(call.path.split(/[,?]/)[0]?.replace('x/auth%2Eme', 'auth.me'));
  });

  it('gets Retry-After when rate-limited', async () => {
    // The limiters read Date themselves, and the seconds left may change between the two answers.
    vi.useFakeTimers({ toFake: ['Date'] });
    await using world = await testWorld();
    const login: Call = { path: 'auth.login', method: 'POST', body: '{"email":"a@b.co","password":"x"}' };
    while ((await send(world, login)).status !== 429);
    const plain = await answerTo(world, login);
    expect(Number(plain.headers['retry-after'])).toBeGreaterThan(0);
    expect(plain).toEqual(await answerTo(world, { ...login, path: 'auth.login?connectionParams=null' }));
  });

  it.each([
    ['a promise', () => ({ later: Promise.resolve(1) })],
    ['something to iterate', async function* () {}],
  ])('is refused if its result contains %s, which only a stream can send', async (_, result) => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    const { authenticate } = world.services.sessions;
    world.services.sessions.authenticate = async (token) =>
      ({ ...(await authenticate(token)), user: result() }) as unknown as ReturnType<typeof authenticate>;
    for (const path of ['auth.me', 'auth.me?batch=1'])
      expect((await send(world, { path, headers: { authorization: `Bearer ${accessToken}` } })).status).toBe(415);
  });

  it('is aborted only if the client leaves before the response', async () => {
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    const aborted = Promise.withResolvers<void>();
    const abort = vi.spyOn(AbortController.prototype, 'abort').mockImplementation(() => aborted.resolve());
    const headers = { authorization: `Bearer ${accessToken}` };
    await send(world, { path: 'auth.me', headers });
    await closed(world, 2);
    expect(abort).not.toHaveBeenCalled();
    const asked = Promise.withResolvers<void>();
    world.services.sessions.authenticate = () => {
      asked.resolve();
      return new Promise(() => {});
    };
    const left = request(`${world.url}/trpc/auth.me`, { agent: false, headers }).on('error', () => {});
    left.end();
    await asked.promise;
    left.destroy();
    await aborted.promise;
  });
});

// Tests what makes a read fast; bench/ measures time.
describe('the work for one auth.me', () => {
  it.each(['auth.me', 'auth.me?batch=1'])('is two statements and no web platform objects: %s', async (path) => {
    const statement = Object.getPrototypeOf(new Database(':memory:').prepare('select 1')) as Database.Statement;
    const statements = (['get', 'all', 'run', 'iterate'] as const).map((name) => vi.spyOn(statement, name));
    await using world = await testWorld();
    const { accessToken } = await world.client().register();
    const headers = { authorization: `Bearer ${accessToken}` };
    // The first call confirms the generation.
    await send(world, { path, headers });

    const made: string[] = [];
    for (const name of ['Request', 'Response', 'Headers', 'ReadableStream'] as const)
      vi.stubGlobal(
        name,
        new Proxy(globalThis[name], {
          construct(target, args) {
            made.push(name);
            return Reflect.construct(target, args) as object;
          },
        }),
      );
    const setOneByOne = (['setHeader', 'appendHeader'] as const).map((name) =>
      vi.spyOn(ServerResponse.prototype, name),
    );
    for (const spy of statements) spy.mockClear();
    expect((await send(world, { path, headers })).status).toBe(200);
    expect(statements.flatMap((spy) => spy.mock.calls)).toHaveLength(2);
    expect(setOneByOne.flatMap((spy) => spy.mock.calls)).toEqual([]);
    expect(made).toEqual([]);

    // Proves that the counters work: tRPC's own adapter creates all of these.
    await send(world, { path: `${path}${path.includes('?') ? '&' : '?'}connectionParams=null`, headers });
    expect(new Set(made)).toEqual(new Set(['Request', 'Response', 'Headers', 'ReadableStream']));
    expect(setOneByOne.flatMap((spy) => spy.mock.calls)).not.toEqual([]);
  });
});
