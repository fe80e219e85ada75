import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';

const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
const CHECK_INTERVAL_MS = 5_000;
/** Longer than the usual 60 s of proxies, so that they do not reuse a connection we have just closed. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const IDLE_TIMEOUT_MS = 75_000;
const MAX_CONNECTIONS = 10_000;

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

/** One request at a time per connection. @returns a function that resolves once no request is in flight */
export function serve(server: Server, app: RequestListener): () => Promise<void> {
  const inFlight = new Set<ServerResponse>();
  server.on('request', (req, res) => {
    // Pipelined, which browsers and proxies do not do. If the connection closed before its turn, Node would not
    // notify this response, and whatever it had opened, such as a file, would leak.
    if (res.socket === null) return void req.socket.destroy();
    // Express would skip all middleware and answer with an HTML page.
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
