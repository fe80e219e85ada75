import { randomUUID } from 'node:crypto';
import type { TRPCError } from '@trpc/server';
import type { Request, Response } from 'express';
import { failureFor } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Services } from '../services.ts';

/** What the layers below find out about a request, for its one line in the log. */
interface Notes {
  requestId: string;
  /** The procedures called, as tRPC resolved them: a path can be spelled in many ways. */
  procedures?: string[];
  /** The failures, one per failed call. */
  failures: string[];
}

/** A property of the response rather than a WeakMap, which costs the garbage collector more. */
const NOTES = Symbol('notes');

const notesOf = (res: { [NOTES]?: Notes } | undefined) => res?.[NOTES];

/** The id of a request in the log. Undefined if the response did not pass through `requestLog`. */
export const requestIdOf = (res: object | undefined): string | undefined => notesOf(res)?.requestId;

/**
 * Returns a function that logs one line per request, with nothing from the caller in it but the method: no path, query,
 * header or input. In development the files of the client, dozens for each page, are logged at debug level.
 */
export function requestLog({
  log,
  settings,
}: Pick<Services, 'log' | 'settings'>): (req: Request, res: Response) => void {
  return (req, res) => {
    // Always ours: an id from outside could forge or split a line.
    const noted: Notes = { requestId: randomUUID(), failures: [] };
    Object.assign(res, { [NOTES]: noted });
    const started = performance.now();
    res.once('close', () => {
      const ms = Math.round(performance.now() - started);
      const { requestId, procedures, failures } = noted;
      const outcome = failures.length > 0 ? failures : res.writableFinished ? 'ok' : 'aborted';
      const isFile = procedures === undefined && res.statusCode < 400;
      const level = isFile && !settings.production ? 'debug' : 'info';
      log[level]({ requestId, method: req.method, procedures, status: res.statusCode, outcome, ms }, 'request');
    });
  };
}

/** @param procedures by their full path */
export function noteProcedures(res: object, procedures: string[]): void {
  const noted = notesOf(res);
  if (noted !== undefined) noted.procedures = procedures;
}

/** Notes a failure for the line of its request. An unexpected error is also logged here, once, with its cause. */
export function noteError(log: Logger, res: object | undefined, error: TRPCError): void {
  const noted = notesOf(res);
  noted?.failures.push(failureFor(error)?.code ?? error.code);
  // A procedure may throw an internal error as such, without a cause. Without one, `overloaded` is expected.
  const err = error.cause ?? (error.code === 'INTERNAL_SERVER_ERROR' ? error : undefined);
  const unexpected = error.code === 'INTERNAL_SERVER_ERROR' || error.code === 'SERVICE_UNAVAILABLE';
  if (unexpected && err !== undefined) log.error({ requestId: noted?.requestId, err }, 'Unexpected error');
}
