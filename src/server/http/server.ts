import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';

/** How long a request may take to arrive, headers and body. */
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** How often Node checks the two above. */
const CHECK_INTERVAL_MS = 5_000;
/** Longer than proxies usually keep an idle connection (60 s): otherwise they would reuse one that we have just closed. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
/** How long a connection may be silent in both directions, for example because the client does not read its answer. */
const IDLE_TIMEOUT_MS = 75_000;
/** Further connections are closed at once, so that those already open keep being served. */
const MAX_CONNECTIONS = 10_000;

/** An HTTP server that slow senders, slow readers and silent connections cannot tie up. */
export function createHttpServer(): Server {
  const server = createServer({
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  });
  server.timeout = IDLE_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/**
 * Has the app answer the requests of the server, one at a time per connection.
 * @returns a function that resolves once no request is in flight
 */
export function serve(server: Server, app: RequestListener): () => Promise<void> {
  const inFlight = new Set<ServerResponse>();
  server.on('request', (req, res) => {
    // Pipelined: sent before the previous request was answered, which browsers and proxies do not do. If the connection
    // closed before its turn, Node would not tell this response, and whatever it had opened, such as a file, would leak.
    if (res.socket === null) return void req.socket.destroy();
    // Express runs no middleware for such a target, and would answer with an HTML page.
    if (!isReadableTarget(req.url ?? '')) return void res.writeHead(400, { Connection: 'close' }).end();
    inFlight.add(res);
    res.once('close', () => inFlight.delete(res));
    app(req, res);
  });
  return async () => {
    while (inFlight.size > 0) await Promise.all(Array.from(inFlight, closed));
  };
}

/** A path, `*` or an absolute HTTP URL (RFC 9112, section 3.2). */
const isReadableTarget = (target: string) =>
  target.startsWith('/') || /^https?:$/.test(URL.parse(target, 'http://localhost')?.protocol ?? '');

const closed = (res: ServerResponse) =>
  new Promise<void>((resolve) => {
    res.once('close', resolve);
  });
