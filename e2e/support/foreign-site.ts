import { once } from 'node:events';
import { createServer, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ForeignSite extends AsyncDisposable {
  /**
   * Its origin under this host name. `localhost` is the same site as the app, as a site does not depend on the port;
   * `127.0.0.1` is another site.
   */
  at(host: string): string;
  port: number;
}

/**
 * Starts a foreign site with blank pages, in which a test runs what the scripts of a hostile page would.
 * @param headers sent with every response
 */
export async function foreignSite(headers: OutgoingHttpHeaders = {}): Promise<ForeignSite> {
  const server = createServer((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/html', ...headers });
    // A Buffer, because Node would encode the headers together with a string body; they must go out byte for byte.
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
