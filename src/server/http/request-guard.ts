import { TRPCError } from '@trpc/server';
import cors from 'cors';
import type { Request, RequestHandler } from 'express';
import getRawBody from 'raw-body';
import { FailureError } from '../errors.ts';
import { appRouter } from '../router.ts';
import type { Services } from '../services.ts';
import type { Meta } from '../trpc.ts';

/** For every body: the largest honest one is a form with three fields. */
const BODY_LIMIT_BYTES = 32 * 1024;
/** Calls in one request. The client keeps to it; see src/client/api/client.ts. */
const BATCH_LIMIT = 20;
/** How long a browser may remember that CLIENT_URL is allowed. */
const PREFLIGHT_MAX_AGE_SECONDS = 600;

/**
 * What a request has to pass before tRPC sees it, in this order. By itself tRPC runs a mutation sent as
 * `multipart/form-data`, which any website can send here without a preflight, and runs any number of calls in a batch.
 */
export function requestGuard({ settings, audit }: Services): RequestHandler[] {
  const { clientUrl } = settings;
  return [
    ...(clientUrl === undefined ? [] : [corsFor(clientUrl)]),
    checkMethod,
    checkOrigin(clientUrl, audit),
    checkContentType,
    readBody,
    checkBatch,
  ];
}

/** A proxy may have routed by one `Host` while we compare origins with the other (RFC 9112, section 3.2). */
export const refuseSeveralHosts: RequestHandler = (req, _res, next) => {
  const several = (req.headersDistinct.host?.length ?? 0) > 1;
  next(several ? new FailureError({ code: 'invalid_input', fields: {} }) : undefined);
};

/** Answers only that origin: no other is told what it may do. */
function corsFor(clientUrl: string): RequestHandler {
  const handler = cors({
    origin: clientUrl,
    credentials: true,
    methods: ['GET', 'POST'],
    exposedHeaders: ['Retry-After', 'X-Request-Id'],
    maxAge: PREFLIGHT_MAX_AGE_SECONDS,
  });
  return (req, res, next) => {
    res.vary('Origin');
    return req.get('origin') === clientUrl ? handler(req, res, next) : next();
  };
}

const checkMethod: RequestHandler = (req, res, next) => {
  if (req.method === 'GET' || req.method === 'POST') return next();
  res.set('Allow', 'GET, POST');
  next(new TRPCError({ code: 'METHOD_NOT_SUPPORTED' }));
};

const checkOrigin =
  (clientUrl: string | undefined, audit: Services['audit']): RequestHandler =>
  async (req, _res, next) => {
    if (isAllowedOrigin(req, clientUrl)) return next();
    await audit.record(req, { type: 'origin_refused', detail: req.get('origin') });
    next(new FailureError({ code: 'origin_not_allowed' }));
  };

/**
 * Our own pages and those of CLIENT_URL may call, and so may clients that are not browsers. No other page may, not even one
 * of a sibling subdomain, which SameSite does not stop. Browsers send `Origin` with every request that could change
 * something, and with the others `Sec-Fetch-Site`, which no page can forge (W3C Fetch Metadata).
 */
function isAllowedOrigin(req: Request, clientUrl: string | undefined): boolean {
  const origin = req.get('origin');
  if (origin !== undefined) return origin === clientUrl || origin === ownOrigin(req);
  return ['same-origin', 'none', undefined].includes(req.get('sec-fetch-site'));
}

/** As a browser writes it: without the port that the scheme implies. */
function ownOrigin(req: Request): string | undefined {
  return req.host === undefined ? undefined : URL.parse(`${req.protocol}://${req.host}`)?.origin;
}

/** A body must be uncompressed `application/json` in UTF-8. No other type is accepted, even without a body. */
const checkContentType: RequestHandler = (req, _res, next) => {
  const type = req.get('content-type');
  const isJson =
    type === undefined ? req.method === 'GET' : /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type);
  const isPlain = /^identity$/i.test(req.get('content-encoding') ?? 'identity');
  next(isJson && isPlain ? undefined : new FailureError({ code: 'unsupported_content' }));
};

/** Strict: otherwise two different passwords that are not UTF-8 would be read as the same one. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Not JSON, or not UTF-8. The latter is told by its code, because any other TypeError is a bug of ours. */
const isMalformed = (error: unknown) =>
  error instanceof SyntaxError || (error as { code?: unknown }).code === 'ERR_ENCODING_INVALID_ENCODED_DATA';

/**
 * Reads the body of every call, because tRPC ignores that of a procedure without an input, whatever its size. Not with
 * `express.json`, which reads a body that is too large to its end, if it has one, before refusing it.
 */
const readBody: RequestHandler = async (req, res, next) => {
  if (req.method === 'GET') return next();
  try {
    const bytes = await getRawBody(req, { limit: BODY_LIMIT_BYTES, length: req.get('content-length') });
    const text = utf8.decode(bytes);
    if (text !== '') JSON.parse(text);
    // tRPC parses a string by itself.
    req.body = text === '' ? undefined : text;
    next();
  } catch (error) {
    // The rest of the body is not read, so no other request can follow on this connection.
    res.set('Connection', 'close');
    next(isMalformed(error) ? new FailureError({ code: 'invalid_input', fields: {} }) : error);
  }
};

const checkBatch: RequestHandler = (req, _res, next) => {
  const calls = callsOf(req);
  if (calls === undefined) return next(new FailureError({ code: 'invalid_input', fields: {} }));
  const mustBeAlone = calls.paths.some((path) => metaOf(path)?.alone === true);
  const refused = calls.paths.length > BATCH_LIMIT || (mustBeAlone && (calls.paths.length > 1 || calls.streamed));
  next(refused ? new FailureError({ code: 'batch_refused' }) : undefined);
};

function metaOf(path: string): Meta | undefined {
  // Keyed by full path at runtime, while tRPC types it as the routers are nested.
  const procedures = appRouter._def.procedures as unknown as Record<string, { _def: { meta?: Meta } }>;
  return Object.hasOwn(procedures, path) ? procedures[path]?._def.meta : undefined;
}

/**
 * Reads the calls of a request exactly as tRPC will (its `getRequestInfo`): any difference would let a call slip past.
 * @returns undefined where tRPC would fail to read them
 */
function callsOf(req: Request): { paths: string[]; streamed: boolean } | undefined {
  const url = URL.parse(req.url, `http://${req.headers.host ?? 'localhost'}`);
  if (url === null || url.username !== '' || url.password !== '') return undefined;
  let path;
  try {
    path = decodeURIComponent(req.path.slice(req.path.lastIndexOf('/') + 1));
  } catch {
    return undefined;
  }
  const batched = url.searchParams.get('batch') === '1';
  const streamed = [req.get('trpc-accept'), req.get('accept')].some((accept) => accept?.includes('application/jsonl'));
  return { paths: batched ? path.split(',') : [path], streamed };
}
