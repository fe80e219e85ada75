import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createHttpServer, serve } from './server.ts';
import { testWorld } from '../testing/world.ts';

/** The way over which the product answers, with another app behind it. */
async function served(app: RequestListener, server: Server = createHttpServer()) {
  const world = await testWorld();
  const idle = serve(server, app, world.services);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    idle,
    world,
    async connect(): Promise<Socket> {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await world[Symbol.asyncDispose]();
    },
  };
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

/** All that comes until the connection is closed. */
async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (data: string) => (text += data));
  await once(socket, 'close');
  return text;
}

// Was open once: What a request that waited had opened, such as a file, stayed open for ever when the connection closed.
test('requests sent ahead are begun one after the other, and those of a client that has gone never', async () => {
  const begun: ServerResponse[] = [];
  const first = Promise.withResolvers<void>();
  await using server = await served((_req, res) => {
    begun.push(res);
    first.resolve();
  });
  const socket = await server.connect();
  socket.write(GET.repeat(20));
  await first.promise;
  const idle = server.idle();
  socket.destroy();
  await idle;
  expect(begun).toHaveLength(1);
});

test('requests sent ahead are all answered, in order', async () => {
  let count = 0;
  await using server = await served((_req, res) => res.end(`answer ${++count}.`));
  const socket = await server.connect();
  const answers = heard(socket);
  socket.write(GET.repeat(19) + GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  expect((await answers).match(/answer \d+\./g)).toEqual(
    Array.from({ length: 20 }, (_, index) => `answer ${index + 1}.`),
  );
});

test('requests sent ahead are waited for, and nothing is written between them', async () => {
  const begun: ServerResponse[] = [];
  const turns = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using server = await served((_req, res) => {
    begun.push(res);
    turns[begun.length - 1]?.resolve();
  });
  const socket = await server.connect();
  const answers = heard(socket);
  socket.write(GET.repeat(2));
  await turns[0]!.promise;
  const first = once(begun[0]!, 'close');
  begun[0]!.end('first');
  await turns[1]!.promise;
  await first;
  let isIdle = false;
  const idle = server.idle().then(() => (isIdle = true));
  begun[1]!.write('the half of it');
  await new Promise((resolve) => setImmediate(resolve));
  expect(isIdle).toBe(false);
  socket.write('nonsense\r\n\r\n');
  expect((await answers).match(/HTTP\/1\.1/g)).toHaveLength(2);
  await idle;
});

test('nobody can have any number of requests wait', async () => {
  await using server = await served(() => {});
  const socket = await server.connect();
  const closed = once(socket, 'close');
  socket.on('error', () => {});
  socket.write(GET.repeat(1_000));
  await closed;
});

test('a client that does not read its answer is let go', async () => {
  const listening = createHttpServer();
  expect(listening.timeout).toBeGreaterThan(listening.keepAliveTimeout);
  // As the product, but soon.
  listening.timeout = 200;
  const answering = Promise.withResolvers<Socket>();
  const large = Buffer.alloc(64 * 1024 * 1024);
  await using server = await served((req, res) => {
    res.end(large);
    answering.resolve(req.socket);
  }, listening);
  const socket = await server.connect();
  socket.pause().write(GET);
  await once(await answering.promise, 'close');
  socket.destroy();
});

test.each([
  ['no host', 'GET /healthz HTTP/1.1\r\n\r\n', 400],
  ['two hosts', 'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400],
  ['a target that is no URL', 'GET http://[::1/trpc/auth.me HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['a target without a host', 'GET http:// HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['an expectation that nobody meets', 'GET / HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n', 417],
])('%s is answered like everything else', async (_, bytes, status) => {
  await using server = await served((_req, res) => res.end('from the app'));
  const socket = await server.connect();
  const answer = heard(socket);
  socket.write(bytes);
  const [head = '', body = ''] = (await answer).split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(head).toMatch(/^content-security-policy: default-src 'none'/im);
  expect(JSON.parse(body)).toMatchObject({
    error: { data: { httpStatus: status, failure: { code: 'invalid_input' } } },
  });
  const id = /^x-request-id: (\S+)/im.exec(head)?.[1] ?? 'none';
  expect(server.world.log.filter((line) => line.includes(id))).toHaveLength(1);
});

test('HTTP/1.0 knows no host', async () => {
  await using server = await served((_req, res) => res.end('from the app'));
  const socket = await server.connect();
  const answer = heard(socket);
  socket.write('GET / HTTP/1.0\r\n\r\n');
  expect(await answer).toContain('from the app');
});

test('a request that does not come to its end is told so', async () => {
  const hasty = createServer({ headersTimeout: 50, requestTimeout: 50, connectionsCheckingInterval: 10 });
  await using server = await served(() => {}, hasty);
  const socket = await server.connect();
  const answer = heard(socket);
  socket.write('POST / HTTP/1.1\r\nHost: x\r\n');
  expect(await answer).toMatch(/^HTTP\/1\.1 408 .*"httpStatus":408/s);
});
