import type { Operation } from '@trpc/client';
import { failureOf } from '../../shared/failures.ts';

/** JSON-RPC 2.0 code of UNAUTHORIZED in tRPC; survives an error formatter that drops `data`. */
const UNAUTHORIZED = -32001;

export function metaOf(error: unknown): Record<string, unknown> | undefined {
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
