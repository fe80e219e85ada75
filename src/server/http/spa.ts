import { existsSync } from 'node:fs';
import type { Server } from 'node:http';
import { extname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import express, { type RequestHandler, Router } from 'express';
import { inProject } from '../project.ts';
import { StartupError } from '../startup-error.ts';

const CLIENT = inProject('dist/client');
const INDEX = 'index.html';
const CONFIG = inProject('vite.config.ts');

export interface Page {
  handler: RequestHandler;
  close(): Promise<void>;
}

/** @throws StartupError if the client has not been built */
export function builtPage(): Page {
  if (!existsSync(join(CLIENT, INDEX)))
    throw new StartupError('The client has not been built. Run `npm run build` first.');
  const handler = Router();
  handler.use(
    '/assets',
    express.static(join(CLIENT, 'assets'), { immutable: true, maxAge: '1y', redirect: false, fallthrough: false }),
  );
  handler.use(express.static(CLIENT, { index: false, redirect: false, cacheControl: false }));
  handler.use((req, res, next) => {
    // A missing file must not be answered with the page.
    if (req.method !== 'GET' && req.method !== 'HEAD') return next();
    if (extname(req.path) !== '' || req.path.includes('/.') || !req.accepts('html')) return next();
    // With a root: of an absolute path, `send` takes any folder that begins with a dot for hidden, and answers 404.
    res.set('Cache-Control', 'no-cache').sendFile(INDEX, { root: CLIENT });
  });
  return { handler, close: async () => {} };
}

export async function developmentPage(server: Server): Promise<Page> {
  const { createServer } = await import('vite');
  const vite = await createServer({
    configFile: CONFIG,
    // Otherwise Vite writes and imports a bundled copy of its configuration, and `node --watch` restarts forever.
    configLoader: 'native',
    appType: 'spa',
    server: { middlewareMode: true, hmr: { server } },
  });
  // Vite leaves upgraded connections open that are not its own, and shutdown would wait for them.
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
