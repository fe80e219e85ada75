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

/** The largest legitimate body is a form with three fields. */
const BODY_LIMIT_BYTES = 32 * 1024;
const PREFLIGHT_MAX_AGE_SECONDS = 600;

/** The calls in one request, as tRPC reads them (its `getRequestInfo`). */
export interface Calls {
  paths: string[];
  batched: boolean;
  streamed: boolean;
  query: URLSearchParams;
  body: unknown;
  /** The same as sent. */
  text: string | undefined;
}

type Body = Pick<Calls, 'body' | 'text'>;
const NO_BODY: Body = { body: undefined, text: undefined };

/**
 * Checks requests before tRPC sees them. On its own, tRPC runs mutations sent as `multipart/form-data`, which any
 * website can send without a preflight, and any number of calls in a batch.
 * @returns a function that throws FailureError or TRPCError to refuse a request
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

/** Refuses several: a proxy may have routed by another one than we compare (RFC 9112, section 3.2). */
export function checkHost({ rawHeaders }: Request): void {
  const hosts = rawHeaders.filter((text, index) => index % 2 === 0 && /^host$/i.test(text));
  if (hosts.length > 1) throw new FailureError({ code: 'invalid_input', fields: {} });
}

/** @param headers for preflight responses, which nothing else answers */
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
 * Allows our own pages, those of CLIENT_URL, and clients that are not browsers; not even a sibling subdomain, which
 * SameSite lets through. Browsers send `Origin` with every request that could change something, and otherwise `Sec-
 * Fetch-Site`, which no page can forge (W3C Fetch Metadata).
 */
function isAllowedOrigin(req: Request, clientUrl: string | undefined): boolean {
  const origin = req.get('origin');
  if (origin !== undefined) return origin === clientUrl || origin === ownOrigin(req);
  return ['same-origin', 'none', undefined].includes(req.get('sec-fetch-site'));
}

function ownOrigin(req: Request): string | undefined {
  return req.host === undefined ? undefined : URL.parse(`${req.protocol}://${req.host}`)?.origin;
}

/** Only uncompressed `application/json` in UTF-8, even when there is no body. */
function checkContentType(req: Request): void {
  const type = req.get('content-type');
  const isJson =
    type === undefined ? req.method === 'GET' : /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type);
  const isPlain = /^identity$/i.test(req.get('content-encoding') ?? 'identity');
  if (!isJson || !isPlain) throw new FailureError({ code: 'unsupported_content' });
}

/** Otherwise, two different passwords that are not UTF-8 could decode to the same string. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Not JSON or not UTF-8. The latter is identified by code, because any other TypeError is a bug of ours. */
const isMalformed = (error: unknown) =>
  error instanceof SyntaxError || (error as { code?: unknown }).code === 'ERR_ENCODING_INVALID_ENCODED_DATA';

/**
 * tRPC ignores the body of a procedure without input, whatever its size. Not `express.json`, which reads an oversized
 * body to the end before refusing it.
 */
async function readBody(req: Request, res: Response): Promise<Body> {
  try {
    const bytes = await getRawBody(req, { limit: BODY_LIMIT_BYTES, length: req.get('content-length') });
    const text = utf8.decode(bytes);
    return text === '' ? NO_BODY : { body: JSON.parse(text) as unknown, text };
  } catch (error) {
    // The rest of the body stays unread, so the connection cannot be reused.
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

export function procedureAt(path: string): Procedure | undefined {
  // Keyed by full path at runtime, although tRPC types it as nested.
  const procedures = appRouter._def.procedures as unknown as Record<string, Procedure>;
  return Object.hasOwn(procedures, path) ? procedures[path] : undefined;
}

/** Must match how tRPC reads them, or a call could slip past the guard. */
function callsOf(req: Request, body: Body): Calls {
  const url = URL.parse(req.url, `http://${req.headers.host ?? 'localhost'}`);
  let path;
  try {
    path = decodeURIComponent(req.path.slice(req.path.lastIndexOf('/') + 1));
  } catch {}
  if (url === null || url.username !== '' || url.password !== '' || path === undefined)
    throw new FailureError({ code: 'invalid_input', fields: {} });
  const query = url.searchParams;
  const batched = query.get('batch') === '1';
  const streamed = [req.get('trpc-accept'), req.get('accept')].some((accept) => accept?.includes('application/jsonl'));
  return { paths: batched ? path.split(',') : [path], batched, streamed, query, ...body };
}
