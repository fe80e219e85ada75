import { randomUUID } from 'node:crypto';
import type { TRPCError } from '@trpc/server';
import type { RequestHandler, Response } from 'express';
import { failureFor } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Services } from '../services.ts';

/** What the layers below find out about a request, for its one line in the log. */
interface Notes {
  requestId: string;
  /** The procedures called, as tRPC resolved them: a path can be spelled in many ways. */
  procedures?: string[];
  /** What went wrong, call by call. */
  failures: string[];
}

const notes = new WeakMap<object, Notes>();

/** The id under which the log tells of a request. Undefined for a response that did not come past `requestLog`. */
export const requestIdOf = (res: object | undefined): string | undefined =>
  res === undefined ? undefined : notes.get(res)?.requestId;

/**
 * One line per request, with nothing in it that the caller wrote but the method: no path, query, header or input. In
 * development only for debugging where it is about a file of the client, of which Vite sends dozens for each page.
 */
export function requestLog({ log, settings }: Pick<Services, 'log' | 'settings'>): RequestHandler {
  return (req, res, next) => {
    // Ours, never one from outside: that could forge a line or split one.
    const noted: Notes = { requestId: randomUUID(), failures: [] };
    notes.set(res, noted);
    res.set('X-Request-Id', noted.requestId);
    const started = performance.now();
    res.once('close', () => {
      const ms = Math.round(performance.now() - started);
      const { requestId, procedures, failures } = noted;
      const outcome = failures.length > 0 ? failures : res.writableFinished ? 'ok' : 'aborted';
      const isFile = procedures === undefined && res.statusCode < 400;
      const level = isFile && !settings.production ? 'debug' : 'info';
      log[level]({ requestId, method: req.method, procedures, status: res.statusCode, outcome, ms }, 'request');
    });
    next();
  };
}

/** @param procedures by their full path */
export function noteProcedures(res: Response, procedures: string[]): void {
  const noted = notes.get(res);
  if (noted !== undefined) noted.procedures = procedures;
}

/**
 * Notes that a call went wrong. What nobody expected is logged here, once, with its cause; an expected failure is an answer
 * like any other.
 */
export function noteError(log: Logger, res: Response | undefined, error: TRPCError): void {
  const noted = res && notes.get(res);
  noted?.failures.push(failureFor(error)?.code ?? error.code);
  const unexpected = error.code === 'INTERNAL_SERVER_ERROR' || error.code === 'SERVICE_UNAVAILABLE';
  if (unexpected && error.cause !== undefined)
    log.error({ requestId: noted?.requestId, err: error.cause }, 'A request failed unexpectedly.');
}
