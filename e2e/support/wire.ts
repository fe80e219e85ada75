import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { RunningServer } from './server.ts';

/** An answer of the server on its way to the browser. */
interface Answer {
  /** Resolves when the server has done what it was asked for and its whole answer has got as far as here. */
  here: Promise<IncomingMessage>;
  /** Lets it go on. */
  deliver(): void;
  /** Cuts the connection instead: neither what the answer says nor its cookie gets to the browser. */
  lose(): void;
}

export interface Wire extends AsyncDisposable {
  /** The origin for the browser. */
  url: string;
  /** Stops the answer to the next call of the procedure. Those of several calls are stopped in the order they were asked for. */
  stop(procedure: string): Answer;
}

interface Stop {
  procedure: string;
  arrived: (answer: IncomingMessage) => void;
  /** What to do with the answer: decided before or after it has come. */
  verdict: Promise<'deliver' | 'lose'>;
}

/**
 * The line between a browser and the server, where answers can be stopped. Not `page.route`: there an answer has already
 * put its cookie into the jar, and it is the cookie that matters.
 */
export async function wireTo(server: RunningServer): Promise<Wire> {
  const stops: Stop[] = [];
  const wire = createServer((incoming, outgoing) => {
    const index = stops.findIndex(({ procedure }) => incoming.url === `/trpc/${procedure}`);
    const [stop] = index === -1 ? [] : stops.splice(index, 1);
    void pass(server.port, incoming, outgoing, stop);
  });
  // Not to other machines.
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
  // With the Host that the browser has sent: the server compares the Origin with it.
  const headers = { ...incoming.headers, connection: 'close' };
  const onward = request({
    host: 'localhost',
    port,
    method: incoming.method,
    path: incoming.url,
    headers,
    agent: false,
  });
  // Whoever is gone needs no answer; but what is stopped here, the server has heard.
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
    // There is no server: as the browser would find it.
    outgoing.destroy();
  }
}

/** On a connection that it has used before, a browser sends again by itself what was not answered, and nobody would see it. */
const last = (headers: OutgoingHttpHeaders): OutgoingHttpHeaders => ({ ...headers, connection: 'close' });
