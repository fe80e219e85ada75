import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Serializes an HTTP/1.1 request. */
export function toRequest(
  port: number,
  path: string,
  { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
): Buffer {
  const content = body === undefined ? '' : JSON.stringify(body);
  const all = {
    host: `localhost:${port}`,
    ...(path.startsWith('/trpc/') && { 'content-type': 'application/json' }),
    ...(body !== undefined && { 'content-length': String(Buffer.byteLength(content)) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${content}`);
}

/**
 * Opens a keep-alive connection that sends one request at a time. Written by hand because an HTTP client would use more CPU
 * than the server under test.
 */
async function openConnection(port: number) {
  const socket: Socket = connect(port, 'localhost').setNoDelay(true);
  await once(socket, 'connect');
  let text = '';
  let settle = { resolve: (_status: number) => {}, reject: (_error: Error) => {} };
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1];
    const whole = length === undefined ? text.endsWith('\r\n0\r\n\r\n') : text.length >= end + 4 + Number(length);
    if (!whole) return;
    const status = Number(text.slice(9, 12));
    text = '';
    settle.resolve(status);
  });
  socket.on('error', (error) => settle.reject(error));
  socket.on('close', () => settle.reject(new Error('The server closed the connection.')));
  return {
    /** @returns the HTTP status */
    send(request: Buffer): Promise<number> {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      settle = { resolve, reject };
      socket.write(request);
      return promise;
    },
    close: () => socket.destroy(),
  };
}

export interface Load {
  /** Responses with status 200 per second. */
  perSecond: number;
  /** All latencies in milliseconds, ascending. */
  latencies: number[];
  /** Number of responses by status. */
  statuses: Record<number, number>;
}

/**
 * Sends requests over `connections` connections; each sends its next request as soon as the last one is answered.
 * @param next returns the next request, or undefined when there are none left
 * @param options.seconds how long to go on
 */
export async function load(
  port: number,
  next: () => Buffer | undefined,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<Load> {
  const open = await Promise.all(Array.from({ length: connections }, () => openConnection(port)));
  const latencies: number[] = [];
  const statuses: Record<number, number> = {};
  const started = performance.now();
  const until = started + seconds * 1000;
  await Promise.all(
    open.map(async (connection) => {
      for (let now = performance.now(); now < until;) {
        const request = next();
        if (request === undefined) break;
        const status = await connection.send(request);
        const then = performance.now();
        latencies.push(then - now);
        statuses[status] = (statuses[status] ?? 0) + 1;
        now = then;
      }
      connection.close();
    }),
  );
  const elapsed = (performance.now() - started) / 1000;
  latencies.sort((a, b) => a - b);
  return { perSecond: (statuses[200] ?? 0) / elapsed, latencies, statuses };
}

/** @param sorted in ascending order */
export const percentile = (sorted: readonly number[], percent: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;

export const median = (numbers: readonly number[]): number =>
  percentile(
    numbers.toSorted((a, b) => a - b),
    50,
  );
