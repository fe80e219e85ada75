import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { answerUnreadable, refuseUnreadable } from './unreadable.ts';
import type { Services } from '../services.ts';

/** How long a request may take to arrive, headers and body. In milliseconds. */
const REQUEST_TIMEOUT = 30_000;
/** How long its headers may take. In milliseconds. */
const HEADERS_TIMEOUT = 10_000;
/** How often those two are looked at. In milliseconds. */
const CHECK_INTERVAL = 5_000;
/** Longer than what common proxies keep a connection for (60 s), or they would use one that we have just closed. In milliseconds. */
const KEEP_ALIVE_TIMEOUT = 65_000;
/** How long a connection may stand still, such as one whose client does not read its answer. In milliseconds. */
const IDLE_TIMEOUT = 75_000;
/** Past this, new connections are closed at once, and those who are connected go on being served. */
const MAX_CONNECTIONS = 10_000;
/** How many requests may wait on one connection for the one before them. Browsers send none ahead. */
const PIPELINE_LIMIT = 100;

/** An HTTP server that nobody can hold up by sending slowly, by not reading, or by opening connections and sending nothing. */
export function createHttpServer(): Server {
  const server = createServer({
    requestTimeout: REQUEST_TIMEOUT,
    headersTimeout: HEADERS_TIMEOUT,
    connectionsCheckingInterval: CHECK_INTERVAL,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    // Refused below, like everything else.
    requireHostHeader: false,
  });
  server.timeout = IDLE_TIMEOUT;
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/**
 * Has the app answer what can be read as a request, each when it is its turn, and answers what cannot.
 * @returns waits until nothing is in flight
 */
export function serve(server: Server, app: RequestListener, services: Services): () => Promise<void> {
  /** The answer that a connection is busy with. */
  const answers = new Map<Duplex, ServerResponse>();
  const waiting = new WeakMap<Duplex, number>();
  let wake = () => {};

  const answer: RequestListener = (req, res) => {
    answers.set(req.socket, res);
    res.once('close', () => {
      // Where one was sent ahead, its turn has come already.
      if (answers.get(req.socket) === res) answers.delete(req.socket);
      if (answers.size === 0) wake();
    });
    if (!refuseUnreadable(req, res, services)) app(req, res);
  };

  /**
   * A request that was sent before the one ahead of it is answered has no connection yet for its answer. If that closes
   * first, the answer never hears of it, and whatever it would send, such as an open file, would be kept for ever.
   */
  const inTurn: RequestListener = (req, res) => {
    if (res.socket !== null) return answer(req, res);
    const count = (waiting.get(req.socket) ?? 0) + 1;
    if (count > PIPELINE_LIMIT) return void req.socket.destroy();
    waiting.set(req.socket, count);
    res.once('socket', () => {
      waiting.set(req.socket, (waiting.get(req.socket) ?? 1) - 1);
      answer(req, res);
    });
  };

  server.on('request', inTurn);
  // Any but 100-continue: Node would answer by itself.
  server.on('checkExpectation', inTurn);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
    answerUnreadable(error, socket, answers.get(socket), services),
  );
  return async () => {
    while (answers.size > 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
}
