import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createHttpServer, serve } from './server.ts';

/** The product's HTTP server with another app behind it. */
async function serving(app: RequestListener, server: Server = createHttpServer()) {
  const idle = serve(server, app);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    idle,
    async connect(): Promise<Socket> {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

/** Everything received until the connection is closed. */
async function received(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (data: string) => (text += data));
  // Closing with data unread resets the connection.
  socket.on('error', () => {});
  await new Promise((resolve) => {
    socket.once('close', resolve);
  });
  return text;
}

describe('serve', () => {
  it('answers one request after another on the same connection', async () => {
    let count = 0;
    await using server = await serving((_req, res) => res.end(`answer ${++count}`));
    const socket = await server.connect();
    for (const expected of [1, 2, 3]) {
      const answered = once(socket, 'data') as Promise<[Buffer]>;
      socket.write(GET);
      expect(String(await answered)).toContain(`answer ${expected}`);
    }
    socket.destroy();
  });

  // Regression: a pipelined request opened a file and leaked it when the connection closed before its turn.
  it('closes a connection with pipelined requests, and never starts the second', async () => {
    const started: ServerResponse[] = [];
    await using server = await serving((_req, res) => void started.push(res));
    const socket = await server.connect();
    const answer = received(socket);
    socket.write(GET.repeat(20));
    expect(await answer).toBe('');
    await server.idle();
    expect(started).toHaveLength(1);
  });

  it('is not idle until the last request in flight is answered', async () => {
    const started: ServerResponse[] = [];
    const both = Promise.withResolvers<void>();
    await using server = await serving((_req, res) => {
      started.push(res);
      if (started.length === 2) both.resolve();
    });
    const sockets = [await server.connect(), await server.connect()];
    for (const socket of sockets) socket.write(GET);
    await both.promise;
    let isIdle = false;
    const idle = server.idle().then(() => (isIdle = true));
    const first = once(started[0]!, 'close');
    started[0]!.end('first');
    started[1]!.write('half of the second');
    await first;
    await setImmediate();
    expect(isIdle).toBe(false);
    started[1]!.end();
    await idle;
    for (const socket of sockets) socket.destroy();
  });

  it('is idle once the client of the last request has gone', async () => {
    const started = Promise.withResolvers<void>();
    await using server = await serving(() => started.resolve());
    const socket = await server.connect();
    socket.write(GET);
    await started.promise;
    const idle = server.idle();
    socket.destroy();
    await idle;
  });

  it.each([
    ['is not HTTP', 'nonsense\r\n\r\n', 400],
    ['names no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['has two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}', 400],
    ['has headers of 17 KB', `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(17 * 1024)}\r\n\r\n`, 431],
    ['has a target that is not a URL', 'GET http://[::1/trpc/auth.me HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['has a target without a host', 'GET http:// HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['has a target with another scheme', 'GET ftp://x/trpc/auth.me HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['expects the impossible', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: a miracle\r\n\r\n', 417],
  ])('keeps a request from the app that %s', async (_, bytes, status) => {
    await using server = await serving((_req, res) => res.end('from the app'));
    const socket = await server.connect();
    const answer = received(socket);
    socket.write(bytes);
    expect(await answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(await answer).not.toContain('from the app');
  });

  it.each([
    ['HTTP/1.0 without a host', 'GET / HTTP/1.0\r\n\r\n'],
    ['an absolute target', 'GET http://x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['the target *', 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
  ])('passes on %s', async (_, bytes) => {
    await using server = await serving((_req, res) => res.end('from the app'));
    const socket = await server.connect();
    const answer = received(socket);
    socket.write(bytes);
    expect(await answer).toContain('from the app');
  });

  it('writes nothing into the middle of a response', async () => {
    await using server = await serving((_req, res) => void res.write('half of the answer'));
    const socket = await server.connect();
    const started = once(socket, 'data') as Promise<[Buffer]>;
    socket.write(GET);
    expect(String(await started)).toContain('half of the answer');
    const rest = received(socket);
    socket.write('nonsense\r\n\r\n');
    expect(await rest).not.toContain('HTTP/1.1');
  });
});

describe('createHttpServer', () => {
  it('drops a client that does not read its response', async () => {
    const product = createHttpServer();
    expect(product.timeout).toBeGreaterThan(product.keepAliveTimeout);
    // As in the product, only sooner.
    product.timeout = 200;
    const answering = Promise.withResolvers<Socket>();
    const large = Buffer.alloc(64 * 1024 * 1024);
    await using server = await serving((req, res) => {
      res.end(large);
      answering.resolve(req.socket);
    }, product);
    const socket = await server.connect();
    socket.pause().write(GET);
    await once(await answering.promise, 'close');
    socket.destroy();
  });

  it('gives a request 10 s for its headers and 30 s in all', () => {
    expect(createHttpServer()).toMatchObject({ headersTimeout: 10_000, requestTimeout: 30_000 });
  });

  it('answers 408 to a request that does not arrive in time', async () => {
    const impatient = createServer({ headersTimeout: 50, requestTimeout: 50, connectionsCheckingInterval: 10 });
    await using server = await serving(() => {}, impatient);
    const socket = await server.connect();
    const answer = received(socket);
    socket.write('POST / HTTP/1.1\r\nHost: x\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 408 /);
  });
});
