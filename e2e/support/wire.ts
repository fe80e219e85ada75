import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { RunningServer } from './server.ts';

/** A response on its way from the server to the browser. */
interface Answer {
  /** Resolves when the server has handled the request and its whole response has arrived here. */
  here: Promise<IncomingMessage>;
  /** Passes the response on. */
  deliver(): void;
  /** Cuts the connection instead: the browser gets neither the body nor the cookie. */
  lose(): void;
}

export interface Wire extends AsyncDisposable {
  /** The origin to open in the browser. */
  url: string;
  /** Holds the response to the next call of the procedure. Called several times, it holds those of the next calls in order. */
  stop(procedure: string): Answer;
}

interface Stop {
  procedure: string;
  arrived: (answer: IncomingMessage) => void;
  /** What to do with the response; may be decided before or after it arrives. */
  verdict: Promise<'deliver' | 'lose'>;
}

/**
 * A proxy between browser and server that can hold responses. `page.route` would not do: a response that it intercepts has
 * already stored its cookie, and the cookie is what matters.
 */
export async function wireTo(server: RunningServer): Promise<Wire> {
  const stops: Stop[] = [];
  const wire = createServer((incoming, outgoing) => {
    const index = stops.findIndex(({ procedure }) => incoming.url === `/trpc/${procedure}`);
    const [stop] = index === -1 ? [] : stops.splice(index, 1);
    void pass(server.port, incoming, outgoing, stop);
  });
  // Not reachable from other machines.
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
  // Keeps the Host of the browser, with which the server compares the Origin.
  const headers = { ...incoming.headers, connection: 'close' };
  const onward = request({
    host: 'localhost',
    port,
    method: incoming.method,
    path: incoming.url,
    headers,
    agent: false,
  });
  // A client that is gone needs no response, but a held request must still reach the server.
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
    // The server is down: the browser sees what it would without the proxy.
    outgoing.destroy();
  }
}

/** A browser silently resends an unanswered request on a reused connection, so no connection is reused. */
const last = (headers: OutgoingHttpHeaders): OutgoingHttpHeaders => ({ ...headers, connection: 'close' });
