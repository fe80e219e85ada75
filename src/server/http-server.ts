import { createServer, type Server, type ServerResponse } from 'node:http';

/** How long a request may take to arrive, headers and body. In milliseconds. */
const REQUEST_TIMEOUT = 30_000;
/** How long its headers may take. In milliseconds. */
const HEADERS_TIMEOUT = 10_000;
/** How often those two are looked at. In milliseconds. */
const CHECK_INTERVAL = 5_000;
/** Longer than what common proxies keep a connection for (60 s), or they would use one that we have just closed. In milliseconds. */
const KEEP_ALIVE_TIMEOUT = 65_000;
/** Past this, new connections are closed at once, and those who are connected go on being served. */
const MAX_CONNECTIONS = 10_000;

/** An HTTP server that nobody can hold up by sending slowly, or by opening connections and sending nothing. */
export function createHttpServer(): Server {
  const server = createServer({
    requestTimeout: REQUEST_TIMEOUT,
    headersTimeout: HEADERS_TIMEOUT,
    connectionsCheckingInterval: CHECK_INTERVAL,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/**
 * Follows what is in flight from now on.
 * @returns waits until there is nothing
 */
export function untilIdle(server: Server): () => Promise<void> {
  const inFlight = new Set<ServerResponse>();
  let wake = () => {};
  server.on('request', (_req, res) => {
    inFlight.add(res);
    res.once('close', () => {
      inFlight.delete(res);
      if (inFlight.size === 0) wake();
    });
  });
  return async () => {
    while (inFlight.size > 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
}
