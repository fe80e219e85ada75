import express, { type Express, type RequestHandler } from 'express';
import { proxyCheck } from './http/proxy-check.ts';
import { refuseSeveralHosts, requestGuard } from './http/request-guard.ts';
import { requestLog } from './http/request-log.ts';
import { securityHeaders } from './http/security-headers.ts';
import { errorHandler, trpcHandler } from './http/trpc-handler.ts';
import type { Services } from './services.ts';

/**
 * The whole server as one Express app: health, the API, and the pages.
 * @param pages serves the client; see http/spa.ts
 */
export function createApp(services: Services, pages: RequestHandler): Express {
  const { settings } = services;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('env', settings.production ? 'production' : 'development');
  app.set('trust proxy', settings.trustProxy);

  app.use(requestLog(services), securityHeaders(settings), closeWhenDraining(services), refuseSeveralHosts);

  app.get('/healthz', (_req, res) => void res.json({ status: 'ok' }));
  app.get('/readyz', async (_req, res) => {
    const ready = await services.ready();
    res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable' });
  });

  app.use('/trpc', noStore, proxyCheck(services), requestGuard(services), trpcHandler(services));
  app.use(serverTiming(services), pages);
  app.use(((_req, res) => void res.status(404).type('text/plain').send('Not found')) satisfies RequestHandler);
  app.use(errorHandler(services));
  return app;
}

/**
 * Tells a page what only the server knows, in a header that its scripts can read: the minimum length of a password, and
 * whether a refresh cookie came with the request for the page. Scripts cannot see that cookie, and asking for a session
 * that cannot exist would be a request that fails.
 */
function serverTiming({ cookie, settings }: Services): RequestHandler {
  const minLength = `password-min-length;desc="${settings.passwordMinLength}"`;
  return (req, res, next) => {
    res.set('Server-Timing', cookie.read(req).kind === 'one' ? `${minLength}, session` : minLength);
    next();
  };
}

/** A connection that is kept alive would delay a server that is stopping. */
const closeWhenDraining =
  ({ draining }: Services): RequestHandler =>
  (_req, res, next) => {
    if (draining()) res.shouldKeepAlive = false;
    next();
  };

const noStore: RequestHandler = (_req, res, next) => {
  res.set('Cache-Control', 'no-store');
  next();
};
