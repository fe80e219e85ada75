import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** How every answer of PostgreSQL ends: ReadyForQuery, with the state of the transaction as its last byte. */
const READY_FOR_QUERY = Buffer.from('Z\0\0\0\x05', 'latin1');

export interface TcpProxy extends AsyncDisposable {
  port: number;
  /** Cuts every connection, and each new one at once. */
  cut(): void;
  /** Becomes a black hole: connections stay open and new ones are accepted, but no byte passes. */
  stall(): void;
  /**
   * Cuts each connection on which a statement like `pattern` is sent, after PostgreSQL has executed it and before its answer
   * is passed on. A prepared statement is sent with its text once, and then with its name only.
   */
  loseAnswersTo(pattern: RegExp): void;
  /**
   * Works again; passes the bytes held by `stall` first.
   * @param port where new connections lead from now on
   */
  pass(port?: number): void;
}

/** A proxy on a free port in front of the PostgreSQL server at `port` of this machine, which breaks as networks do. */
export async function tcpProxy(port: number): Promise<TcpProxy> {
  let target = port;
  const open = new Set<Socket>();
  let mode: 'pass' | 'stall' | 'cut' = 'pass';
  let lost: RegExp | undefined;

  const server = createServer((client) => {
    if (mode === 'cut') return void client.resetAndDestroy();
    const upstream = connect(target, '127.0.0.1');
    let isLost = false;
    const pair = [client, upstream];
    for (const socket of pair) {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        for (const each of pair) each.destroy();
      });
      if (mode === 'stall') socket.pause();
    }
    client.on('data', (bytes) => {
      isLost ||= lost?.test(bytes.toString('latin1')) === true;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (!isLost) client.write(bytes);
      else if (bytes.subarray(-READY_FOR_QUERY.length - 1, -1).equals(READY_FOR_QUERY)) client.resetAndDestroy();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      mode = 'cut';
      for (const socket of open) socket.destroy();
    },
    stall() {
      mode = 'stall';
      for (const socket of open) socket.pause();
    },
    loseAnswersTo(pattern) {
      lost = pattern;
    },
    pass(port = target) {
      target = port;
      mode = 'pass';
      lost = undefined;
      for (const socket of open) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
