import { TRPCError, type AnyTRPCProcedure } from '@trpc/server';
import cors from 'cors';
import type { Request, RequestHandler, Response } from 'express';
import getRawBody from 'raw-body';
import { BATCH_LIMIT } from '../../shared/calls.ts';
import { FailureError } from '../errors.ts';
import { appRouter } from '../router.ts';
import type { Services } from '../services.ts';
import type { Meta } from '../trpc.ts';
import { requestIdOf } from './request-log.ts';

type Procedure = AnyTRPCProcedure & { _def: { meta?: Meta } };

/** For every body: the largest honest one is a form with three fields. */
const BODY_LIMIT_BYTES = 32 * 1024;
/** How long a browser may remember that CLIENT_URL is allowed. */
const PREFLIGHT_MAX_AGE_SECONDS = 600;

/** The calls of one request, as tRPC reads them (its `getRequestInfo`). */
export interface Calls {
  paths: string[];
  batched: boolean;
  streamed: boolean;
  query: URLSearchParams;
  /** Parsed; undefined where there is none. For a query, its `input` once that has been read. */
  body: unknown;
  /** The same as sent. */
  text: string | undefined;
}

type Body = Pick<Calls, 'body' | 'text'>;
const NO_BODY: Body = { body: undefined, text: undefined };

/**
 * Checks what a request has to pass before tRPC sees it. By itself tRPC runs a mutation sent as `multipart/form-data`, which
 * any website can send here without a preflight, and runs any number of calls in a batch.
 * @returns a function that throws FailureError or TRPCError where a request is refused
 */
export function requestGuard({ settings, audit }: Services): (req: Request, res: Response) => Promise<Calls> {
  const { clientUrl } = settings;
  return async (req, res) => {
    checkMethod(req, res);
    if (!isAllowedOrigin(req, clientUrl)) {
      await audit.record(req, { type: 'origin_refused', detail: req.get('origin') });
      throw new FailureError({ code: 'origin_not_allowed' });
    }
    checkContentType(req);
    return checkBatch(req, req.method === 'GET' ? NO_BODY : await readBody(req, res));
  };
}

/**
 * A proxy may have routed by one `Host` while we compare origins with the other (RFC 9112, section 3.2).
 * @throws FailureError if there are several
 */
export function checkHost({ rawHeaders }: Request): void {
  const hosts = rawHeaders.filter((text, index) => index % 2 === 0 && /^host$/i.test(text));
  if (hosts.length > 1) throw new FailureError({ code: 'invalid_input', fields: {} });
}

/**
 * Answers only that origin: no other is told what it may do.
 * @param headers of the answer to a preflight, which nothing else answers
 */
export function corsFor(clientUrl: string, headers: Record<string, string>): RequestHandler {
  const handler = cors({
    origin: clientUrl,
    credentials: true,
    methods: ['GET', 'POST'],
    exposedHeaders: ['Retry-After', 'X-Request-Id'],
    maxAge: PREFLIGHT_MAX_AGE_SECONDS,
  });
  return (req, res, next) => {
    if (req.method === 'OPTIONS') res.set({ ...headers, 'X-Request-Id': requestIdOf(res) });
    res.vary('Origin');
    return req.get('origin') === clientUrl ? handler(req, res, next) : next();
  };
}

function checkMethod(req: Request, res: Response): void {
  if (req.method === 'GET' || req.method === 'POST') return;
  res.set('Allow', 'GET, POST');
  throw new TRPCError({ code: 'METHOD_NOT_SUPPORTED' });
}

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
function checkContentType(req: Request): void {
  const type = req.get('content-type');
  const isJson =
    type === undefined ? req.method === 'GET' : /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type);
  const isPlain = /^identity$/i.test(req.get('content-encoding') ?? 'identity');
  if (!isJson || !isPlain) throw new FailureError({ code: 'unsupported_content' });
}

/** Strict: otherwise two different passwords that are not UTF-8 would be read as the same one. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Not JSON, or not UTF-8. The latter is told by its code, because any other TypeError is a bug of ours. */
const isMalformed = (error: unknown) =>
  error instanceof SyntaxError || (error as { code?: unknown }).code === 'ERR_ENCODING_INVALID_ENCODED_DATA';

/**
 * Reads the body of every call, because tRPC ignores that of a procedure without an input, whatever its size. Not with
 * `express.json`, which reads a body that is too large to its end, if it has one, before refusing it.
 */
async function readBody(req: Request, res: Response): Promise<Body> {
  try {
    const bytes = await getRawBody(req, { limit: BODY_LIMIT_BYTES, length: req.get('content-length') });
    const text = utf8.decode(bytes);
    return text === '' ? NO_BODY : { body: JSON.parse(text) as unknown, text };
  } catch (error) {
    // The rest of the body is not read, so no other request can follow on this connection.
    res.set('Connection', 'close');
    throw isMalformed(error) ? new FailureError({ code: 'invalid_input', fields: {} }) : error;
  }
}

function checkBatch(req: Request, body: Body): Calls {
  const calls = callsOf(req, body);
  const mustBeAlone = calls.paths.some((path) => procedureAt(path)?._def.meta?.alone === true);
  if (calls.paths.length > BATCH_LIMIT || (mustBeAlone && (calls.paths.length > 1 || calls.streamed)))
    throw new FailureError({ code: 'batch_refused' });
  return calls;
}

/** Undefined for a path without a procedure. */
export function procedureAt(path: string): Procedure | undefined {
  // Keyed by full path at runtime, while tRPC types it as the routers are nested.
  const procedures = appRouter._def.procedures as unknown as Record<string, Procedure>;
  return Object.hasOwn(procedures, path) ? procedures[path] : undefined;
}

/** Any difference from how tRPC reads them would let a call slip past. */
function callsOf(req: Request, body: Body): Calls {
  const url = URL.parse(req.url, `http://${req.headers.host ?? 'localhost'}`);
  let path;
  try {
    path = decodeURIComponent(req.path.slice(req.path.lastIndexOf('/') + 1));
  } catch {
    // Answered below, like the other paths that tRPC could not read.
  }
  if (url === null || url.username !== '' || url.password !== '' || path === undefined)
    throw new FailureError({ code: 'invalid_input', fields: {} });
  const query = url.searchParams;
  const batched = query.get('batch') === '1';
  const streamed = [req.get('trpc-accept'), req.get('accept')].some((accept) => accept?.includes('application/jsonl'));
  return { paths: batched ? path.split(',') : [path], batched, streamed, query, ...body };
}
