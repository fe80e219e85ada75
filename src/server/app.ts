import { getTRPCErrorShape, TRPCError } from '@trpc/server';
import { createExpressMiddleware } from '@trpc/server/adapters/express';
import { getHTTPStatusCodeFromError } from '@trpc/server/http';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { deploymentAdvice } from './http/proxy-check.ts';
import { door } from './http/request-guard.ts';
import { failureFor, refusalFor } from './errors.ts';
import { securityHeaders } from './http/security-headers.ts';
import { appRouter } from './router.ts';
import { noteError, noteProcedures, requestLog } from './http/request-log.ts';
import type { Services } from './services.ts';
import { createContext } from './trpc.ts';

/** What tRPC has no code for: conditions and parts of a file that cannot be met (RFC 9110, sections 13.1 and 14.2). */
const ABOUT_FILES = new Set([412, 416]);

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

  app.use(requestLog(services), securityHeaders(settings), closeWhenDraining(services));

  app.get('/healthz', (_req, res) => void res.json({ status: 'ok' }));
  app.get('/readyz', async (_req, res) => {
    const ready = await services.ready();
    res.status(ready ? 200 : 503).json({ status: ready ? 'ok' : 'unavailable' });
  });

  app.use(
    '/trpc',
    noStore,
    deploymentAdvice(services),
    door(services),
    createExpressMiddleware({
      router: appRouter,
      createContext(options) {
        const { calls } = options.info;
        noteProcedures(
          options.res,
          calls.map(({ path, procedure }) => (procedure === null ? 'unknown' : path)),
        );
        return createContext(options, services);
      },
      responseMeta: ({ errors, eagerGeneration }) => ({
        headers: {
          ...retryAfter(errors),
          // tRPC replaces the header that CORS has set, and forgets the type where it refuses a request as a whole.
          ...(settings.clientUrl === undefined ? {} : { Vary: 'trpc-accept, accept, Origin' }),
          // A stream's own would let it be stored.
          ...(eagerGeneration ? { 'Cache-Control': 'no-store, no-transform' } : { 'Content-Type': 'application/json' }),
        },
      }),
      // Never `input`, which tRPC hands over too: it may be a password.
      onError: ({ error, ctx }) => noteError(log, ctx?.res, error),
    }),
  );

  app.use(tellOfCookie(services), page);
  app.use(((_req, res) => void res.status(404).type('text/plain').send('Not found')) satisfies RequestHandler);
  app.use(answerError(services));
  return app;
}

/**
 * Tells the page whether a refresh cookie came with the request for it, in a header that its scripts can read. They cannot
 * see the cookie, and to ask for a session that there cannot be would be a request that fails.
 */
const tellOfCookie =
  ({ cookie }: Services): RequestHandler =>
  (req, res, next) => {
    if (cookie.read(req).kind === 'one') res.set('Server-Timing', 'session');
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
    noteError(services.log, res, error);
    const shape = getTRPCErrorShape({
      config: appRouter._def._config,
      error,
      type: 'unknown',
      path: undefined,
      input: undefined,
      ctx: createContext({ req, res }, services),
    });
    const status = statusOf(cause);
    res
      .status(status !== undefined && ABOUT_FILES.has(status) ? status : getHTTPStatusCodeFromError(error))
      .set(retryAfter([error]))
      .type('application/json')
      .json({ error: shape });
  };

function toTRPCError(cause: unknown): TRPCError {
  if (cause instanceof TRPCError) return cause;
  const refusal = refusalFor(cause);
  if (refusal !== undefined) return refusal;
  const status = statusOf(cause);
  const code =
    status === 413
      ? 'PAYLOAD_TOO_LARGE'
      : status === 415
        ? 'UNSUPPORTED_MEDIA_TYPE'
        : status === 404
          ? 'NOT_FOUND'
          : status !== undefined
            ? 'BAD_REQUEST'
            : 'INTERNAL_SERVER_ERROR';
  // With the code as its message: that of the cause may name a file.
  return new TRPCError({ code, message: code, cause });
}

/** Of what was the caller's fault. */
function statusOf(cause: unknown): number | undefined {
  const status = (cause as { status?: unknown } | null)?.status;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

function retryAfter(errors: TRPCError[]): Record<string, string> {
  const seconds = errors
    .map(failureFor)
    .flatMap((failure) => (failure && 'retryAfter' in failure ? failure.retryAfter : []));
  return seconds.length === 0 ? {} : { 'Retry-After': String(Math.ceil(Math.max(...seconds))) };
}
