import { TRPCError } from '@trpc/server';
import cors from 'cors';
import type { Request, RequestHandler } from 'express';
import getRawBody from 'raw-body';
import { Refusal } from '../errors.ts';
import { appRouter } from '../router.ts';
import type { Services } from '../services.ts';
import type { Meta } from '../trpc.ts';

/** Every body: the largest honest one is a form of three fields. */
const BODY_LIMIT = '32kb';
/** Calls in one request. The client keeps to it; see src/client/api/client.ts. */
const BATCH_LIMIT = 20;
/** How long a browser may remember that CLIENT_URL is allowed. In seconds. */
const PREFLIGHT_MAX_AGE = 600;

/**
 * What a request passes before tRPC sees it, in this order. Left to itself tRPC runs a mutation that comes as
 * `multipart/form-data`, which any web page can send here without asking first, and runs any number of calls in a batch.
 */
export function door({ settings, audit }: Services): RequestHandler[] {
  const { clientUrl } = settings;
  return [
    ...(clientUrl === undefined
      ? []
      : [
          forOrigin(
            clientUrl,
            cors({
              origin: clientUrl,
              credentials: true,
              methods: ['GET', 'POST'],
              exposedHeaders: ['Retry-After', 'X-Request-Id'],
              maxAge: PREFLIGHT_MAX_AGE,
            }),
          ),
        ]),
    methods,
    origins(clientUrl, audit),
    content,
    body,
    batches,
  ];
}

/** Nobody else is told what that origin may do. */
const forOrigin =
  (origin: string, handler: RequestHandler): RequestHandler =>
  (req, res, next) => {
    res.vary('Origin');
    return req.get('origin') === origin ? handler(req, res, next) : next();
  };

const methods: RequestHandler = (req, res, next) => {
  if (req.method === 'GET' || req.method === 'POST') return next();
  res.set('Allow', 'GET, POST');
  next(new TRPCError({ code: 'METHOD_NOT_SUPPORTED' }));
};

const origins =
  (clientUrl: string | undefined, audit: Services['audit']): RequestHandler =>
  async (req, _res, next) => {
    if (isAllowedOrigin(req, clientUrl)) return next();
    await audit.record(req, { type: 'origin_refused', detail: req.get('origin') });
    next(new Refusal({ code: 'origin_not_allowed' }));
  };

/**
 * Our own page and the client's may call, and so may what is no browser. Every other page may not, be it of a sibling host,
 * for which SameSite would not help. Browsers send `Origin` with whatever could change something; with the rest they say
 * where it comes from in `Sec-Fetch-Site`, which no page can forge (Fetch Metadata).
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

/** `application/json`, in UTF-8, not compressed, for whatever has a body; no other type even where there is none. */
const content: RequestHandler = (req, _res, next) => {
  const type = req.get('content-type');
  const json =
    type === undefined ? req.method === 'GET' : /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type);
  const plain = /^identity$/i.test(req.get('content-encoding') ?? 'identity');
  next(json && plain ? undefined : new Refusal({ code: 'unsupported_content' }));
};

/** Strict: two passwords that are no UTF-8 would otherwise be read as the same one. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** No JSON, or no UTF-8. By its code, for a TypeError may be a mistake of ours. */
const isMalformed = (error: unknown) =>
  error instanceof SyntaxError || (error as { code?: unknown }).code === 'ERR_ENCODING_INVALID_ENCODED_DATA';

/**
 * Read here for every call: tRPC would not look at the body of a procedure without an input, however large. And not with
 * `express.json`, which reads a body that is too large to its end, if it has one, before it says so.
 */
const body: RequestHandler = async (req, res, next) => {
  if (req.method === 'GET') return next();
  try {
    const bytes = await getRawBody(req, { limit: BODY_LIMIT, length: req.get('content-length') });
    const text = utf8.decode(bytes);
    if (text !== '') JSON.parse(text);
    // tRPC takes a string as it is.
    req.body = text === '' ? undefined : text;
    next();
  } catch (error) {
    // What is left of the body is not read, so nothing can follow it on this connection.
    res.set('Connection', 'close');
    next(isMalformed(error) ? new Refusal({ code: 'invalid_input', fields: {} }) : error);
  }
};

const batches: RequestHandler = (req, _res, next) => {
  const calls = callsOf(req);
  if (calls === undefined) return next(new Refusal({ code: 'invalid_input', fields: {} }));
  const alone = calls.paths.some((path) => metaOf(path)?.alone === true);
  const refused = calls.paths.length > BATCH_LIMIT || (alone && (calls.paths.length > 1 || calls.streamed));
  next(refused ? new Refusal({ code: 'batch_refused' }) : undefined);
};

function metaOf(path: string): Meta | undefined {
  // By full path, whatever the nesting of the routers; tRPC types it as they are nested.
  const procedures = appRouter._def.procedures as unknown as Record<string, { _def: { meta?: Meta } }>;
  return Object.hasOwn(procedures, path) ? procedures[path]?._def.meta : undefined;
}

/** The calls of a request exactly as tRPC will read them (its `getRequestInfo`), or undefined where it would fail to. */
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
