import { existsSync } from 'node:fs';
import type { Server } from 'node:http';
import { extname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import express, { type RequestHandler, Router } from 'express';
import { StartupError } from '../startup-error.ts';

const CLIENT = fileURLToPath(new URL('../../../dist/client', import.meta.url));
const CONFIG = fileURLToPath(new URL('../../../vite.config.ts', import.meta.url));

/** Serves the client. */
export interface Page {
  handler: RequestHandler;
  close(): Promise<void>;
}

/**
 * Serves the built client from dist/client.
 * @throws StartupError if it has not been built
 */
export function builtPage(): Page {
  const index = join(CLIENT, 'index.html');
  if (!existsSync(index)) throw new StartupError('The client has not been built. Run `npm run build` first.');
  const handler = Router();
  // Their names contain a hash of their content.
  handler.use(
    '/assets',
    express.static(join(CLIENT, 'assets'), { immutable: true, maxAge: '1y', redirect: false, fallthrough: false }),
  );
  handler.use(express.static(CLIENT, { index: false, redirect: false, cacheControl: false }));
  handler.use((req, res, next) => {
    // Only for what may be a page of the app: a missing file must not be answered with one.
    if (req.method !== 'GET' && req.method !== 'HEAD') return next();
    if (extname(req.path) !== '' || req.path.includes('/.') || !req.accepts('html')) return next();
    res.set('Cache-Control', 'no-cache').sendFile(index);
  });
  return { handler, close: async () => {} };
}

/** Serves the client from its sources, with hot reload over the same port. Vite is not installed in production. */
export async function developmentPage(server: Server): Promise<Page> {
  const { createServer } = await import('vite');
  const vite = await createServer({
    configFile: CONFIG,
    // Otherwise Vite imports a bundled copy that it has just written: `node --watch` sees a change, and restarts for ever.
    configLoader: 'native',
    appType: 'spa',
    server: { middlewareMode: true, hmr: { server } },
  });
  // Vite leaves open the upgraded connections that are not its own, and a server that stops would wait for them.
  const upgraded = new Set<Duplex>();
  server.on('upgrade', (_req, socket) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
  });
  return {
    handler: vite.middlewares,
    async close() {
      await vite.close();
      for (const socket of upgraded) socket.destroy();
    },
  };
}
