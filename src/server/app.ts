import express, { type Express, type RequestHandler } from 'express';
import { checkHost, corsFor } from './http/request-guard.ts';
import { requestIdOf, requestLog } from './http/request-log.ts';
import { securityHeaders } from './http/security-headers.ts';
import { errorHandler, NO_STORE, trpcHandler } from './http/trpc-handler.ts';
import type { Services } from './services.ts';

export function createApp(services: Services, pages: RequestHandler): Express {
  const { settings } = services;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('env', settings.production ? 'production' : 'development');
  app.set('trust proxy', settings.trustProxy);

  const headers = securityHeaders(settings);
  const logRequest = requestLog(services);
  app.use((req, res, next) => {
    logRequest(req, res);
    // A kept-alive connection would delay shutdown.
    if (services.draining()) res.shouldKeepAlive = false;
    checkHost(req);
    next();
  });
  // First, because every middleware ahead of it costs each call a few microseconds.
  if (settings.clientUrl !== undefined) app.use('/trpc', corsFor(settings.clientUrl, { ...headers, ...NO_STORE }));
  app.use('/trpc', trpcHandler(services, headers));
  app.use((_req, res, next) => {
    res.set({ ...headers, 'X-Request-Id': requestIdOf(res) });
    next();
  });

  app.get('/healthz', (_req, res) => void res.json({ status: 'ok' }));
  app.get('/readyz', async (_req, res) => {
    const ready = await services.ready();
    res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable' });
  });

  app.use(serverTiming(services), pages);
  app.use(((_req, res) => void res.status(404).type('text/plain').send('Not found')) satisfies RequestHandler);
  app.use(errorHandler(services, headers));
  return app;
}

/**
 * Gives the page what only the server knows, in a header that scripts can read: the minimum password length,
 * whether mail is sent, and whether the request carried a refresh cookie. Without one, asking for a session could only fail.
 */
function serverTiming({ cookie, settings }: Services): RequestHandler {
  const minLength = `password-min-length;desc="${settings.passwordMinLength}"`;
  const always = settings.mail === undefined ? minLength : `${minLength}, mail`;
  return (req, res, next) => {
    res.set('Server-Timing', cookie.read(req).kind === 'one' ? `${always}, session` : always);
    next();
  };
}
