import { once } from 'node:events';
import { createServer, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ForeignSite extends AsyncDisposable {
  /**
   * Its origin under this name of the machine. `localhost` is on the same site as the product there, as ports make no
   * difference to a site; `127.0.0.1` is another one.
   */
  at(host: string): string;
  port: number;
}

/**
 * The site of somebody else, on this machine: blank pages, in which a story does what the scripts of a hostile page would.
 * @param headers of every answer
 */
export async function foreignSite(headers: OutgoingHttpHeaders = {}): Promise<ForeignSite> {
  const server = createServer((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/html', ...headers });
    // Not as a string: Node would encode the headers along with it, and they are to be sent byte by byte.
    res.end(Buffer.from('<!doctype html><title>Somebody else</title>'));
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
