import { randomUUID } from 'node:crypto';
import type { TRPCError } from '@trpc/server';
import type { Request, Response } from 'express';
import { failureFor } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Services } from '../services.ts';

interface Notes {
  requestId: string;
  /** As resolved by tRPC: a path can be spelled in many ways. */
  procedures?: string[];
  failures: string[];
}

/** A property of the response: a WeakMap costs the garbage collector more. */
const NOTES = Symbol('notes');

const notesOf = (res: { [NOTES]?: Notes } | undefined) => res?.[NOTES];

/** Undefined if the response did not pass through `requestLog`. */
export const requestIdOf = (res: object | undefined): string | undefined => notesOf(res)?.requestId;

/** Logs nothing of the caller but the method. Client files, dozens per page, are only debug output in development. */
export function requestLog({
  log,
  settings,
}: Pick<Services, 'log' | 'settings'>): (req: Request, res: Response) => void {
  return (req, res) => {
    // Never taken from the request: a caller could forge or split a line.
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

export function noteProcedures(res: object, procedures: string[]): void {
  const noted = notesOf(res);
  if (noted !== undefined) noted.procedures = procedures;
}

/** Adds a failure to the line of its request. Unexpected errors are also logged here, once, with their cause. */
export function noteError(log: Logger, res: object | undefined, error: TRPCError): void {
  const noted = notesOf(res);
  noted?.failures.push(failureFor(error)?.code ?? error.code);
  // A procedure may throw an internal error as such, without a cause. Without one, `overloaded` is expected.
  const err = error.cause ?? (error.code === 'INTERNAL_SERVER_ERROR' ? error : undefined);
  const unexpected = error.code === 'INTERNAL_SERVER_ERROR' || error.code === 'SERVICE_UNAVAILABLE';
  if (unexpected && err !== undefined) log.error({ requestId: noted?.requestId, err }, 'Unexpected error');
}
