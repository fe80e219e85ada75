import { connect } from 'node:net';
import fc from 'fast-check';
import { appRouter } from '../router.ts';
import type { World } from './world.ts';

/** Generous, because the machine may be slow. */
const ANSWER_TIMEOUT_MS = 20_000;
const MAX_IN_FLIGHT = 16;

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

/** Never valid for registering or logging in: nothing sent here may write. */
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

/** A request that a client library can send. */
const call = fc.record({
  path,
  query,
  method: fc.constantFrom('GET', 'POST', 'POST', 'PUT', 'OPTIONS'),
  headers,
  body,
});

/** Bytes that no client library sends. */
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
 * Sends random requests to every procedure, and random bytes to the port.
 * @param runs the number of each
 * @throws an Error with the smallest input found that was answered with a 5xx status, not answered, let through, or wrote something
 */
export async function fuzz(world: World, runs: number): Promise<void> {
  const before = await written(world);
  // Each from a different address, or only the limits would answer.
  const from = (ip: string) => ({ 'x-forwarded-for': ip });

  await inBatches(runs, fc.tuple(call, address), async ([{ path, query, method, headers, body }, ip]) => {
    const response = await fetch(`${world.url}/trpc/${path}${query}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers, ...from(ip) },
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      ...(method === 'GET' ? {} : { body }),
    });
    const text = await response.text();
    if (response.status >= 500 && response.status !== 503) throw new Error(`Answered with ${response.status}`);
    if (text.includes('"result":') && !mayPass(path)) throw new Error('The call succeeded');
  });
  await inBatches(runs, bytes, async (sent) => {
    const answer = await exchange(world, sent);
    if (answer.startsWith('HTTP/1.1 5')) throw new Error(`Answered with ${answer.slice(0, 60)}`);
  });

  if ((await fetch(`${world.url}/readyz`)).status !== 200) throw new Error('The server is no longer ready');
  if ((await written(world)) !== before) throw new Error('Something was written to the database');
}

/** Logging out always succeeds; everything else sent here is invalid. */
const mayPass = (path: string) => path.includes('logout');

const written = async ({ sql }: World) =>
  JSON.stringify(
    await sql('select (select count(*) from users) as users, (select count(*) from sessions) as sessions'),
  );

async function inBatches<Input>(runs: number, inputs: fc.Arbitrary<Input>, run: (input: Input) => Promise<void>) {
  const batch = fc.array(inputs, { minLength: 1, maxLength: MAX_IN_FLIGHT, size: 'max' });
  let left = runs;
  // In arrays, so that a failure shrinks to a single input.
  await fc.assert(
    fc.asyncProperty(batch, async (all) => {
      left -= all.length;
      await Promise.all(all.map(run));
    }),
    { numRuns: Math.ceil(runs / (MAX_IN_FLIGHT / 2)) },
  );
  if (left > runs / 2) throw new Error(`Only ${runs - left} inputs were tried`);
}

/** @returns what the server sent until it closed the connection */
function exchange(world: World, sent: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1');
    let text = '';
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error('Not answered')));
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(text) : reject(error),
    );
    socket.on('close', () => resolve(text));
    socket.end(sent);
  });
}
