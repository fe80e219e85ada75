import { randomUUID } from 'node:crypto';
import { getTRPCErrorShape, TRPCError } from '@trpc/server';
import { createExpressMiddleware } from '@trpc/server/adapters/express';
import { getHTTPStatusCodeFromError } from '@trpc/server/http';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { door } from './door.ts';
import { failureFor } from './failure.ts';
import { securityHeaders } from './headers.ts';
import { appRouter } from './router.ts';
import type { Services } from './services.ts';
import { createContext, requestIdOf } from './trpc.ts';

/**
 * The whole server as one Express app: health, the API, and the page.
 * @param page serves the client; see page.ts
 */
export function createApp(services: Services, page: RequestHandler): Express {
  const { settings, log } = services;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('env', settings.production ? 'production' : 'development');
  app.set('trust proxy', settings.trustProxy);

  app.use(requestId, requestLog(services), securityHeaders(settings), closeWhenDraining(services));

  app.get('/healthz', (_req, res) => void res.json({ status: 'ok' }));
  app.get('/readyz', async (_req, res) => {
    const ready = await services.ready();
    res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable' });
  });

  app.use(
    '/trpc',
    noStore,
    door(services),
    createExpressMiddleware({
      router: appRouter,
      createContext: (options) => createContext(options, services),
      responseMeta: ({ errors, eagerGeneration }) => ({
        headers: {
          ...retryAfter(errors),
          // tRPC replaces the header that CORS has set, and forgets the type where it refuses a request as a whole.
          ...(settings.clientUrl === undefined ? {} : { Vary: 'trpc-accept, accept, Origin' }),
          ...(eagerGeneration ? {} : { 'Content-Type': 'application/json' }),
        },
      }),
      // What a call was given may be a password: it is never logged.
      onError: ({ error, path, ctx }) => logSurprise(log, error, { path, requestId: requestIdOf(ctx?.res) }),
    }),
  );

  app.use(page);
  app.use(((_req, res) => void res.status(404).type('text/plain').send('Not found')) satisfies RequestHandler);
  app.use(answerError(services));
  return app;
}

/** Every answer can be found in the log by its id. Ours, never one from outside: that could forge or split a line. */
const requestId: RequestHandler = (_req, res, next) => {
  res.locals.requestId = randomUUID();
  res.set('X-Request-Id', res.locals.requestId);
  next();
};

/** One line per request, without its query: the input of a tRPC query stands there. */
const requestLog =
  ({ log }: Services): RequestHandler =>
  (req, res, next) => {
    const started = performance.now();
    const path = req.path;
    res.once('close', () => {
      const ms = Math.round(performance.now() - started);
      log.debug({ requestId: requestIdOf(res), method: req.method, path, status: res.statusCode, ms }, 'request');
    });
    next();
  };

/** A connection that is kept alive would keep a server that wants to stop. */
const closeWhenDraining =
  ({ draining }: Services): RequestHandler =>
  (_req, res, next) => {
    if (draining()) res.set('Connection', 'close');
    next();
  };

const noStore: RequestHandler = (_req, res, next) => {
  res.set('Cache-Control', 'no-store');
  next();
};

/** What Express itself refuses (a URL or a body that cannot be read) and what the door refuses, in tRPC's own shape. */
const answerError =
  (services: Services): ErrorRequestHandler =>
  (cause, req, res, next) => {
    if (res.headersSent) return next(cause);
    const error = toTRPCError(cause);
    logSurprise(services.log, error, { path: req.path, requestId: requestIdOf(res) });
    const shape = getTRPCErrorShape({
      config: appRouter._def._config,
      error,
      type: 'unknown',
      path: undefined,
      input: undefined,
      ctx: createContext({ req, res, info: undefined as never }, services),
    });
    res
      .status(getHTTPStatusCodeFromError(error))
      .set(retryAfter([error]))
      .json({ error: shape });
  };

function toTRPCError(cause: unknown): TRPCError {
  if (cause instanceof TRPCError) return cause;
  const status = (cause as { status?: unknown } | null)?.status;
  if (status === 413) return new TRPCError({ code: 'PAYLOAD_TOO_LARGE', cause });
  if (status === 415) return new TRPCError({ code: 'UNSUPPORTED_MEDIA_TYPE', cause });
  if (status === 404) return new TRPCError({ code: 'NOT_FOUND', cause });
  if (typeof status === 'number' && status >= 400 && status < 500) return new TRPCError({ code: 'BAD_REQUEST', cause });
  return new TRPCError({ code: 'INTERNAL_SERVER_ERROR', cause });
}

function retryAfter(errors: TRPCError[]): Record<string, string> {
  const seconds = errors
    .map(failureFor)
    .flatMap((failure) => (failure && 'retryAfter' in failure ? failure.retryAfter : []));
  return seconds.length === 0 ? {} : { 'Retry-After': String(Math.ceil(Math.max(...seconds))) };
}

/** The one place that logs what nobody expected; expected failures are answers like any other. */
function logSurprise(
  log: Services['log'],
  error: TRPCError,
  where: { path: string | undefined; requestId: unknown },
): void {
  const unexpected = error.code === 'INTERNAL_SERVER_ERROR' || (error.code === 'SERVICE_UNAVAILABLE' && error.cause);
  if (unexpected) log.error({ ...where, err: error.cause ?? error }, 'A request failed unexpectedly.');
}
