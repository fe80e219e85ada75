import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { RunningServer } from './server.ts';

interface Answer {
  /** Resolves once the whole response has arrived here. */
  here: Promise<IncomingMessage>;
  deliver(): void;
  lose(): void;
}

export interface Wire extends AsyncDisposable {
  url: string;
  /** Holds the response to the next call; further `stop`s hold those of the calls after it. */
  stop(procedure: string): Answer;
}

interface Stop {
  procedure: string;
  arrived: (answer: IncomingMessage) => void;
  verdict: Promise<'deliver' | 'lose'>;
}

/**
 * A proxy that can hold responses. `page.route` intercepts them only after their cookies have been stored, and the
 * cookies are what matters.
 */
export async function wireTo(server: RunningServer): Promise<Wire> {
  const stops: Stop[] = [];
  const wire = createServer((incoming, outgoing) => {
    const index = stops.findIndex(({ procedure }) => incoming.url === `/trpc/${procedure}`);
    const [stop] = index === -1 ? [] : stops.splice(index, 1);
    void pass(server.port, incoming, outgoing, stop);
  });
  await once(wire.listen(0, 'localhost'), 'listening');
  return {
    url: `http://localhost:${(wire.address() as AddressInfo).port}`,
    stop(procedure) {
      const { promise: here, resolve: arrived } = Promise.withResolvers<IncomingMessage>();
      const { promise: verdict, resolve: decide } = Promise.withResolvers<'deliver' | 'lose'>();
      stops.push({ procedure, arrived, verdict });
      return { here, deliver: () => decide('deliver'), lose: () => decide('lose') };
    },
    async [Symbol.asyncDispose]() {
      const closed = once(wire, 'close');
      wire.close();
      wire.closeAllConnections();
      await closed;
    },
  };
}

async function pass(port: number, incoming: IncomingMessage, outgoing: ServerResponse, stop?: Stop): Promise<void> {
  // Keeps the Host, with which the server compares Origin.
  const headers = { ...incoming.headers, connection: 'close' };
  const onward = request({
    host: 'localhost',
    port,
    method: incoming.method,
    path: incoming.url,
    headers,
    agent: false,
  });
  // Even if the client is gone, a held request must reach the server.
  outgoing.on('close', () => stop ?? onward.destroy());
  try {
    incoming.pipe(onward);
    const [answer] = (await once(onward, 'response')) as [IncomingMessage];
    answer.on('error', () => outgoing.destroy());
    if (stop === undefined) {
      answer.pipe(outgoing.writeHead(answer.statusCode!, last(answer.headers)));
      return;
    }
    const body = await buffer(answer);
    stop.arrived(answer);
    if ((await stop.verdict) === 'deliver') outgoing.writeHead(answer.statusCode!, last(answer.headers)).end(body);
    else outgoing.destroy();
  } catch {
    outgoing.destroy();
  }
}

/** Browsers silently resend unanswered requests on reused connections, so none is reused. */
const last = (headers: OutgoingHttpHeaders): OutgoingHttpHeaders => ({ ...headers, connection: 'close' });
