import { connect } from 'node:net';
import fc from 'fast-check';
import { appRouter } from '../router.ts';
import type { World } from './world.ts';

/** No answer within it is a hang. In milliseconds; generous, because what runs it may be slow. */
const HANG = 20_000;
/** Inputs in flight at once. */
const PARALLEL = 16;

const PATHS = [...Object.keys(appRouter._def.procedures), 'auth', 'auth.nothing', '__proto__', '', '.', 'constructor'];

const word = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 400 }),
  fc.constantFrom(
    '',
    '\u0000',
    '\ud800',
    '\r\n',
    "' OR 1=1--",
    '%00',
    '../..',
    '__proto__',
    '${7*7}',
    'x'.repeat(40_000),
  ),
);

/** Never what creates an account or opens one: nothing that is sent here may write. */
const input = fc.oneof(
  { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  {
    weight: 5,
    arbitrary: fc.record(
      {
        username: fc.oneof(word, fc.constant('fuzz'), fc.jsonValue({ maxDepth: 1 })),
        email: fc.oneof(word, fc.emailAddress(), fc.jsonValue({ maxDepth: 1 })),
        password: fc.oneof(fc.string({ maxLength: 7 }), fc.array(fc.string()), fc.integer(), fc.constant(null)),
        isAdmin: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  },
);

const body = fc.oneof(
  { weight: 6, arbitrary: input.map((value) => JSON.stringify(value)) },
  { weight: 2, arbitrary: word },
  { weight: 1, arbitrary: input.map((value) => JSON.stringify({ 0: value, 1: value })) },
);

const headerValue = fc
  .oneof(
    word,
    fc.constantFrom('application/json', 'multipart/form-data; boundary=x', 'application/jsonl', 'null', 'gzip'),
  )
  .map((text) => text.replaceAll(/[^\u0020-\u007e]/g, '').slice(0, 3_000));

const headers = fc.dictionary(
  fc.constantFrom(
    'content-type',
    'authorization',
    'cookie',
    'origin',
    'accept',
    'trpc-accept',
    'content-encoding',
    'sec-fetch-site',
    'last-event-id',
    'user-agent',
    'x-request-id',
    'x-forwarded-proto',
    'x-forwarded-host',
  ),
  fc.oneof(
    headerValue,
    headerValue.map((value) => `__Host-refreshToken=${value}`),
    headerValue.map((value) => `Bearer ${value}`),
  ),
  { maxKeys: 4 },
);

const query = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('', '?batch=1', '?input=%7B%7D', '?input={', '?batch=1&input=[]') },
  {
    weight: 1,
    arbitrary: word.map((text) => `?connectionParams=${encodeURIComponent(text.toWellFormed())}`.slice(0, 2_000)),
  },
  { weight: 1, arbitrary: word.map((text) => `?${encodeURI(text.toWellFormed())}`.slice(0, 2_000)) },
);

const path = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...PATHS) },
  {
    weight: 2,
    arbitrary: fc.array(fc.constantFrom(...PATHS), { minLength: 2, maxLength: 25 }).map((all) => all.join(',')),
  },
  { weight: 1, arbitrary: word.map((text) => encodeURIComponent(text.toWellFormed()).slice(0, 500)) },
  { weight: 1, arbitrary: fc.constantFrom('%', '%E0%A4%A', 'auth%2Eme', '/auth.me', './auth.me', '..%2f..%2fetc') },
);

/** A request that a client library would send. */
const call = fc.record({
  path,
  query,
  method: fc.constantFrom('GET', 'POST', 'POST', 'PUT', 'OPTIONS'),
  headers,
  body,
});

/** Bytes that no library would send. */
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
  fc.tuple(call, fc.nat(), fc.string({ unit: 'binary', maxLength: 5 })).map(([request, at, junk]) => {
    const text = `${request.method} /trpc/${request.path}${request.query} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${request.body.length}\r\n\r\n${request.body}`;
    const cut = at % text.length;
    return Buffer.from(text.slice(0, cut) + junk + text.slice(cut + junk.length));
  }),
);

const address = fc.ipV4();

/**
 * Sends inputs of every kind to every procedure, and bytes of every kind to the port.
 * @param runs how many of either
 * @throws with the smallest input found that was answered with 500, was not answered, or wrote something
 */
export async function fuzz(world: World, runs: number): Promise<void> {
  const before = written(world);
  // Each from another address, or all there is to see would be the limits.
  const from = (ip: string) => ({ 'x-forwarded-for': ip });

  await inBatches(runs, fc.tuple(call, address), async ([{ path, query, method, headers, body }, ip]) => {
    const response = await fetch(`${world.url}/trpc/${path}${query}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers, ...from(ip) },
      signal: AbortSignal.timeout(HANG),
      ...(method === 'GET' ? {} : { body }),
    });
    const text = await response.text();
    if (response.status >= 500 && response.status !== 503) throw new Error(`It was answered with ${response.status}.`);
    if (text.includes('"result":') && !endsNothing(path)) throw new Error('It was let through.');
  });
  await inBatches(runs, bytes, async (sent) => {
    const answer = await exchange(world, sent);
    if (answer.startsWith('HTTP/1.1 5')) throw new Error(`It was answered with ${answer.slice(0, 60)}`);
  });

  if ((await fetch(`${world.url}/readyz`)).status !== 200) throw new Error('The server is not well any more.');
  if (written(world) !== before) throw new Error('Something was written.');
}

/** Logging out succeeds whatever the state; all else that is sent here is wrong in some way. */
const endsNothing = (path: string) => path.includes('logout');

const written = ({ services }: World) =>
  JSON.stringify(
    services.db.$client
      .prepare('select (select count(*) from users) as users, (select count(*) from sessions) as sessions')
      .get(),
  );

async function inBatches<Input>(runs: number, inputs: fc.Arbitrary<Input>, run: (input: Input) => Promise<void>) {
  const batch = fc.array(inputs, { minLength: 1, maxLength: PARALLEL, size: 'max' });
  let left = runs;
  // Its failures shrink to the one input that matters.
  await fc.assert(
    fc.asyncProperty(batch, async (all) => {
      left -= all.length;
      await Promise.all(all.map(run));
    }),
    { numRuns: Math.ceil(runs / (PARALLEL / 2)) },
  );
  if (left > runs / 2) throw new Error(`Only ${runs - left} inputs were tried.`);
}

/** @returns what the server answered until it closed the connection */
function exchange(world: World, sent: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1');
    let text = '';
    socket.setTimeout(HANG, () => socket.destroy(new Error('It was not answered.')));
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(text) : reject(error),
    );
    socket.on('close', () => resolve(text));
    socket.end(sent);
  });
}
