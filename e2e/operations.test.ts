import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createAccount } from './support/api.ts';
import { ada } from './support/people.ts';
import { runProduct, secrets, startProduct } from './support/server.ts';

test('told to stop while somebody logs in, the server finishes that, answers nobody else, and exits with 0', async () => {
  // A hash that takes its time.
  await using server = await startProduct({ settings: { BCRYPT_COST: '14' } });
  await createAccount(server, ada);

  const login = request(`${server.url}/trpc/auth.login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', expect: '100-continue' },
  });
  const answered = once(login, 'response');
  login.flushHeaders();
  // The server's own word that it has the request in hand.
  await once(login, 'continue');
  login.end(JSON.stringify({ email: ada.email, password: ada.password }));
  server.signal('SIGTERM');
  await server.outputWith(/Stopping/);

  const [response] = await answered;
  expect(response.statusCode).toBe(200);
  expect(await text(response)).toContain('accessToken');
  expect(await server.exited).toBe(0);
  await expect(fetch(`${server.url}/healthz`)).rejects.toThrow('fetch failed');
});

test('the server is alive and ready once it listens, and says so', async () => {
  await using server = await startProduct();
  for (const path of ['/healthz', '/readyz']) {
    const answer = await fetch(server.url + path);
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }]);
  }
});

test('a second server on the same port ends with a sentence, and leaves the first alone', async () => {
  await using first = await startProduct();
  await using second = await runProduct({ ...secrets, PORT: String(first.port) });
  expect(await second.exited).toBe(1);
  expect(second.output()).toContain(`Port ${first.port} is taken.`);
  expect(second.output()).not.toContain('    at ');
  expect((await fetch(`${first.url}/readyz`)).status).toBe(200);
});

const strong = secrets.JWT_ACCESS_SECRET;

test.each<[string, Record<string, string>, string[]]>([
  ['without secrets', {}, ['JWT_ACCESS_SECRET', 'JWT_REFRESH_SECRET']],
  ['with a weak secret', { ...secrets, JWT_ACCESS_SECRET: 'hunter2-hunter2' }, ['JWT_ACCESS_SECRET']],
  ['with one secret for both', { ...secrets, JWT_REFRESH_SECRET: strong }, ['JWT_REFRESH_SECRET']],
  [
    'with durations without a unit',
    { ...secrets, ACCESS_TOKEN_EXPIRY: '900', REFRESH_TOKEN_EXPIRY: '0s' },
    ['ACCESS_TOKEN_EXPIRY', 'REFRESH_TOKEN_EXPIRY'],
  ],
  ['with any origin as client', { ...secrets, CLIENT_URL: '*' }, ['CLIENT_URL']],
  ['with cheap hashes', { ...secrets, BCRYPT_COST: '4' }, ['BCRYPT_COST']],
  ['with any proxy trusted', { ...secrets, TRUST_PROXY: 'true' }, ['TRUST_PROXY']],
  ['with a port out of range', { ...secrets, PORT: '70000' }, ['PORT']],
  ['with an unknown database', { ...secrets, DATABASE_URL: 'mysql://localhost/db' }, ['DATABASE_URL']],
])('%s the server does not start, and names the settings, not their values', async (_case, settings, named) => {
  await using server = await runProduct(settings);
  expect(await server.exited).toBe(1);
  const output = server.output();
  const names = output.match(/^ {2}[A-Z_]+/gm)?.map((name) => name.trim());
  expect(names).toEqual(named);
  for (const secret of [strong, secrets.JWT_REFRESH_SECRET, 'hunter2']) expect(output).not.toContain(secret);
  expect(output).not.toContain('    at ');
});
