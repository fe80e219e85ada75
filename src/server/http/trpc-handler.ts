import { getTRPCErrorShape, TRPCError } from '@trpc/server';
import { createExpressMiddleware } from '@trpc/server/adapters/express';
import { getHTTPStatusCodeFromError } from '@trpc/server/http';
import type { ErrorRequestHandler, RequestHandler } from 'express';
import { databaseFailure, retryAfter } from '../errors.ts';
import { appRouter } from '../router.ts';
import type { Services } from '../services.ts';
import { createContext } from '../trpc.ts';
import { isPlain, plainCalls } from './plain-calls.ts';
import { proxyCheck } from './proxy-check.ts';
import { requestGuard } from './request-guard.ts';
import { noteError, noteProcedures, requestIdOf } from './request-log.ts';

export const NO_STORE = { 'Cache-Control': 'no-store' };

/** Handles plain calls itself and leaves streams and anything unusual to tRPC's own adapter. */
export function trpcHandler(services: Services, securityHeaders: Record<string, string>): RequestHandler {
  const warnAboutProxy = proxyCheck(services);
  const guard = requestGuard(services);
  const answerPlain = plainCalls(services, { ...securityHeaders, ...NO_STORE });
  const answerOther = stockAdapter(services);
  return async (req, res, next) => {
    warnAboutProxy(req);
    const calls = await guard(req, res);
    if (isPlain(req, calls)) return answerPlain(req, res, calls);
    // As sent: `JSON.stringify` overflows the stack where `JSON.parse` does not.
    req.body = calls.text;
    res.set({ ...securityHeaders, ...NO_STORE, 'X-Request-Id': requestIdOf(res) });
    answerOther(req, res, next);
  };
}

function stockAdapter(services: Services): RequestHandler {
  const { settings, log } = services;
  return createExpressMiddleware({
    router: appRouter,
    createContext(options) {
      const { calls } = options.info;
      noteProcedures(
        options.res,
        calls.map(({ path, procedure }) => (procedure === null ? 'unknown' : path)),
      );
      return createContext(options, services);
    },
    responseMeta: ({ ctx, errors, eagerGeneration }) => ({
      headers: {
        ...retryAfter(errors),
        // tRPC overwrites the one set by CORS.
        ...(settings.clientUrl === undefined ? {} : { Vary: 'trpc-accept, accept, Origin' }),
        // When tRPC refuses a whole request, it sets no content type. When it streams, it would let caches store the
        // response, and keep open a connection that the client or a stopping server wants closed.
        ...(eagerGeneration
          ? {
              'Cache-Control': 'no-store, no-transform',
              ...(ctx?.res.shouldKeepAlive === false ? { Connection: 'close' } : {}),
            }
          : { 'Content-Type': 'application/json' }),
      },
    }),
    // Never log `input`: it may contain a password.
    onError: ({ error, ctx }) => noteError(log, ctx?.res, error),
  });
}

export const errorHandler =
  (services: Services, securityHeaders: Record<string, string>): ErrorRequestHandler =>
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
    const status = clientErrorStatus(cause);
    res
      .status(status !== undefined && FILE_STATUSES.has(status) ? status : getHTTPStatusCodeFromError(error))
      .set({ ...securityHeaders, ...NO_STORE, ...retryAfter([error]), 'X-Request-Id': requestIdOf(res) })
      .type('application/json')
      .json({ error: shape });
  };

/** Statuses of file requests that have no tRPC code (RFC 9110, sections 13.1 and 14.2). */
const FILE_STATUSES = new Set([412, 416]);

function toTRPCError(cause: unknown): TRPCError {
  if (cause instanceof TRPCError) return cause;
  const unavailable = databaseFailure(cause);
  if (unavailable !== undefined) return unavailable;
  const status = clientErrorStatus(cause);
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
  // The cause's own message may contain a file path.
  return new TRPCError({ code, message: code, cause });
}

function clientErrorStatus(cause: unknown): number | undefined {
  const status = (cause as { status?: unknown } | null)?.status;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}
