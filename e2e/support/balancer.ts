import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RunningServer } from './server.ts';

export interface Balancer extends AsyncDisposable {
  /** The origin to open in the browser. */
  url: string;
  /** Takes no more connections. Resolves once the last has ended. */
  close(): Promise<void>;
  /** The answers so far: to which request, and the index of the server. */
  answers: readonly { path: string; server: number }[];
}

/**
 * A load balancer in front of several servers, which answer the requests for a path in turn. It does what nginx does by default: a request that
 * reached no server goes to the next one, and one that might have been processed is answered with 502.
 */
export async function balancerBefore(servers: readonly Pick<RunningServer, 'port'>[], port = 0): Promise<Balancer> {
  const answers: { path: string; server: number }[] = [];
  const turns = new Map<string, number>();

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = incoming.url ?? '';
    // By path, or the two calls of a page that makes two at a time would each go to the same server for ever.
    const [procedure = ''] = path.split('?');
    // Each begins with another server, or what a page calls once would always be for the first one.
    const first = turns.get(procedure) ?? turns.size;
    turns.set(procedure, first + 1);
    for (const offset of servers.keys()) {
      const server = (first + offset) % servers.length;
      const onward = request({
        host: 'localhost',
        port: servers[server]!.port,
        method: incoming.method,
        path,
        // Keeps the Host of the browser, with which the server compares the Origin.
        headers: { ...incoming.headers, connection: 'close' },
        agent: false,
      });
      onward.on('error', () => {});
      outgoing.once('close', () => onward.destroy());
      // Before the request is sent, so that nothing of its body is lost where this server cannot be reached.
      const reached = await once(onward, 'socket')
        .then(([socket]) => once(socket, 'connect'))
        .then(
          () => true,
          () => false,
        );
      if (!reached) continue;
      try {
        incoming.pipe(onward);
        const [answer] = (await once(onward, 'response')) as [IncomingMessage];
        answers.push({ path, server });
        answer.once('error', () => outgoing.destroy());
        answer.pipe(outgoing.writeHead(answer.statusCode!, { ...answer.headers, connection: 'close' }));
      } catch {
        outgoing.writeHead(502, { connection: 'close' }).end();
      }
      return;
    }
    outgoing.writeHead(503, { connection: 'close' }).end();
  }

  const balancer = createServer((incoming, outgoing) => void pass(incoming, outgoing));
  await once(balancer.listen(port, 'localhost'), 'listening');
  return {
    // Not 127.0.0.1: over plain HTTP, a browser accepts a Secure cookie from localhost only.
    url: `http://localhost:${(balancer.address() as AddressInfo).port}`,
    answers,
    async close() {
      const closed = once(balancer, 'close');
      balancer.close();
      await closed;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(balancer, 'close');
      balancer.close();
      balancer.closeAllConnections();
      await closed;
    },
  };
}
