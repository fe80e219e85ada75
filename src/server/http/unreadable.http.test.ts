import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { testWorld } from '../testing/world.ts';

/** @param chunks as they are, each once the one before was answered with something */
function raw(port: number, ...chunks: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const next = () => {
      const chunk = chunks.shift();
      if (chunk !== undefined) socket.write(chunk);
    };
    const socket = connect(port, '127.0.0.1', next);
    socket.setEncoding('utf8').on('data', (data: string) => {
      text += data;
      next();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

const POST = 'POST /trpc/auth.login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

test.each([
  ['no HTTP', 'nonsense\r\n\r\n', 400, 'invalid_input'],
  ['two lengths', `${POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, 400, 'invalid_input'],
  ['headers of 17 KB', `${POST}X-Long: ${'x'.repeat(17 * 1024)}\r\n\r\n`, 431, 'payload_too_large'],
])('%s is answered like everything else', async (_, bytes, status, failure) => {
  await using world = await testWorld();
  const answer = await raw(Number(new URL(world.url).port), bytes);
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  expect(statusLine).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`));
  const headers = Object.fromEntries(lines.map((line) => line.split(/: (.*)/).slice(0, 2) as [string, string]));
  const usual = await fetch(`${world.url}/trpc/auth.me`);
  for (const name of [
    'content-security-policy',
    'strict-transport-security',
    'x-content-type-options',
    'cache-control',
  ])
    expect([name, headers[name]]).toEqual([name, usual.headers.get(name)]);
  expect(headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8', connection: 'close' });
  expect(Number(headers['content-length'])).toBe(Buffer.byteLength(body));
  const { error } = JSON.parse(body) as { error: { data: { httpStatus: number; failure: { code: string } } } };
  expect([error.data.httpStatus, error.data.failure.code]).toEqual([status, failure]);
  expect(world.log.filter((line) => line.includes(headers['x-request-id'] ?? 'none'))).toHaveLength(1);
});

test('nothing is written into the middle of another answer', async () => {
  await using world = await testWorld();
  const { accessToken } = await world.client().register();
  const stream = `GET /trpc/auth.sessionEvents HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${accessToken}\r\n\r\n`;
  const answer = await raw(Number(new URL(world.url).port), stream, 'nonsense\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
});
