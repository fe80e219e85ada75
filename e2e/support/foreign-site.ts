import { once } from 'node:events';
import { createServer, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ForeignSite extends AsyncDisposable {
  /** `localhost` is the same site as the app, because sites ignore the port; `127.0.0.1` is another. */
  at(host: string): string;
  port: number;
}

/** Serves blank pages, in which a test runs hostile scripts. @param headers of every response */
export async function foreignSite(headers: OutgoingHttpHeaders = {}): Promise<ForeignSite> {
  const server = createServer((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/html', ...headers });
    // A Buffer, because Node would re-encode headers sent with a string body; they must go out byte for byte.
    res.end(Buffer.from('<!doctype html><title>Another site</title>'));
  });
  await once(server.listen(0), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    at: (host) => `http://${host}:${port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
