import {
  callTRPCProcedure,
  getTRPCErrorFromUnknown,
  getTRPCErrorShape,
  transformTRPCResponse,
  TRPCError,
} from '@trpc/server';
import { getHTTPStatusCode } from '@trpc/server/http';
import type { Request, Response } from 'express';
import { FailureError, retryAfter } from '../errors.ts';
import { appRouter } from '../router.ts';
import type { Services } from '../services.ts';
import { createContext, isAsyncIterable } from '../trpc.ts';
import { procedureAt, type Calls } from './request-guard.ts';
import { noteError, noteProcedures, requestIdOf } from './request-log.ts';

const config = appRouter._def._config;

const typeFor = ({ method }: Request) => (method === 'GET' ? 'query' : 'mutation');

/** All queries, or all mutations, made the usual way. tRPC's own adapter handles streams and whatever it refuses. */
export const isPlain = (req: Request, { paths, streamed, query }: Calls): boolean =>
  !streamed && !query.has('connectionParams') && paths.every((path) => procedureAt(path)?._def.type === typeFor(req));

/**
 * Answers plain calls exactly as tRPC's own adapter would, calling procedures directly through its public API. The
 * adapter spends most of its time on web platform objects: Request, Response, streams, and a DOMException per
 * request. plain-calls.http.test.ts compares the two.
 */
export function plainCalls(services: Services, defaults: Record<string, string>) {
  const { log, settings } = services;
  const decided = {
    Vary: settings.clientUrl === undefined ? 'trpc-accept, accept' : 'trpc-accept, accept, Origin',
    'Content-Type': 'application/json',
  };

  return async (req: Request, res: Response, calls: Calls): Promise<void> => {
    const { paths, batched } = calls;
    const type = typeFor(req);
    noteProcedures(res, paths);
    const ctx = createContext({ req, res }, services);
    // Only when the client has gone: aborting after every request would create a DOMException each time.
    const gone = new AbortController();
    res.once('close', () => {
      if (!res.writableFinished) gone.abort();
    });
    const errors: TRPCError[] = [];

    async function answer(path: string, batchIndex: number) {
      let input: unknown;
      try {
        const getRawInput = async () => (input = inputOf(calls, type, batchIndex));
        const options = { router: appRouter, path, type, ctx, batchIndex, getRawInput, signal: gone.signal } as const;
        const data: unknown = await callTRPCProcedure(options);
        if (isStream(data)) throw new TRPCError({ code: 'UNSUPPORTED_MEDIA_TYPE' });
        return { result: { data } };
      } catch (cause) {
        const error = getTRPCErrorFromUnknown(cause);
        noteError(log, res, error);
        errors.push(error);
        return { error: getTRPCErrorShape({ config, error, type, path, input, ctx }) };
      }
    }

    const answers = await Promise.all(paths.map(answer));
    const body = JSON.stringify(transformTRPCResponse(config, batched ? answers : answers[0]!));
    // `setHeader` for each takes several times as long. As in tRPC's adapter, headers set by a procedure override our
    // defaults, but not what tRPC decides.
    res
      .writeHead(res.statusCode === 200 ? getHTTPStatusCode(answers) : res.statusCode, {
        ...unset(defaults, res),
        ...decided,
        ...retryAfter(errors),
        'X-Request-Id': requestIdOf(res),
        'Content-Length': Buffer.byteLength(body),
      })
      .end(body);
  };
}

/** The defaults that the procedure has not set itself. Most set nothing, or a cookie, which is not among them. */
function unset(defaults: Record<string, string>, res: Response): Record<string, string> {
  if (res.getHeaderNames().every((name) => name === 'set-cookie')) return defaults;
  return Object.fromEntries(Object.entries(defaults).filter(([name]) => !res.hasHeader(name)));
}

function inputOf(calls: Calls, type: 'query' | 'mutation', index: number): unknown {
  const { batched, query } = calls;
  // As in tRPC, parsed only once a call reads it, so a query without a token is refused first.
  if (type === 'query') calls.body ??= parsed(query.get('input'));
  const all = calls.body;
  if (batched && all !== undefined && (typeof all !== 'object' || all === null || Array.isArray(all)))
    throw new FailureError({ code: 'invalid_input', fields: {} });
  const input = batched ? (all as Record<number, unknown> | undefined)?.[index] : all;
  return input === undefined ? undefined : config.transformer.input.deserialize(input);
}

function parsed(json: string | null): unknown {
  try {
    return json === null || json === '' ? undefined : JSON.parse(json);
  } catch (cause) {
    throw new FailureError({ code: 'invalid_input', fields: {} }, cause);
  }
}

/** As in tRPC: an iterable, a promise, or an object that contains one. */
function isStream(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false;
  return [data, ...Object.values(data)].some((value: unknown) => value instanceof Promise || isAsyncIterable(value));
}
