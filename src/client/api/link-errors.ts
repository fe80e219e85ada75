import { TRPCClientError, type Operation } from '@trpc/client';
import type { AnyRouter } from '@trpc/server';
import { failureOf } from '../../shared/failures.ts';
import type { Renewal } from './session-core.ts';

// What the errors that come up through the link mean, and those that it makes.

/** JSON-RPC 2.0 code of UNAUTHORIZED in tRPC; survives an error formatter that drops `data`. */
const UNAUTHORIZED = -32001;

function metaOf(error: unknown): Record<string, unknown> | undefined {
  return (error as { meta?: Record<string, unknown> } | null | undefined)?.meta;
}

/** Never by the HTTP status alone: a batch answers 207, a stream 200. */
export function refusesToken(error: unknown): boolean {
  const failure = failureOf(error);
  if (failure) return isTokenFailure(failure.code);
  const { data, shape, cause } = (error ?? {}) as {
    data?: { code?: unknown } | null;
    shape?: { code?: unknown } | null;
    cause?: { code?: unknown; status?: unknown } | null;
  };
  if (data?.code === 'UNAUTHORIZED' || shape?.code === UNAUTHORIZED) return true;
  // @trpc/client 11.19 makes the error event of an EventSource the shape, later ones the cause; its code is the status.
  if (shape) return shape.code === 401;
  const response = metaOf(error)?.response as { status?: unknown } | undefined;
  return response?.status === 401 || cause?.code === 401 || cause?.status === 401;
}

const isTokenFailure = (code: string): boolean => code.startsWith('access_token_');

/** Our server refuses a token before anything is run; a bare 401 may come from a mutation that has half happened. */
export function hadNoEffect({ op, error }: { op: Operation; error: unknown }): boolean {
  const failure = failureOf(error);
  return (
    canBeSentTwice(op.input) && (op.type !== 'mutation' || (failure !== undefined && isTokenFailure(failure.code)))
  );
}

/** A stream is used up by sending it. */
function canBeSentTwice(input: unknown): boolean {
  return !(typeof input === 'object' && input !== null && (Symbol.asyncIterator in input || 'getReader' in input));
}

/** Whether a call failed because its token could not be renewed. It was not run: it may be sent again, later. */
export function isUnavailable(error: unknown): boolean {
  return metaOf(error)?.refresh === 'unavailable';
}

export function unavailableError<TRouter extends AnyRouter>(
  renewal: Extract<Renewal, { kind: 'unavailable' }>,
): TRPCClientError<TRouter> {
  const { cause, retryAfterMs } = renewal;
  return new TRPCClientError('The session could not be renewed: the server cannot be reached.', {
    ...(cause instanceof Error && { cause }),
    meta: { refresh: 'unavailable', retryAfterMs },
  });
}

export function disposedError<TRouter extends AnyRouter>(): TRPCClientError<TRouter> {
  return new TRPCClientError('The session was disposed of.', { meta: { refresh: 'superseded' } });
}

/** Says on the error itself, which stays the one that came up, why the link passes it on. */
export function marked<TError extends { meta?: Record<string, unknown> | undefined }>(
  error: TError,
  refresh: 'exhausted' | 'superseded' | 'ended',
): TError {
  error.meta = { ...error.meta, refresh };
  return error;
}
