import { TRPCError } from '@trpc/server';
import { $ZodError } from 'zod/v4/core';
import { failures, type Failure } from '../shared/failures.ts';
import { isDatabaseUnavailable } from './db/errors.ts';

const DATABASE_RETRY_AFTER_SECONDS = 1;

/** An expected failure, thrown to end the call. `message` is the code: the client supplies the wording. */
export class FailureError extends TRPCError {
  readonly failure: Failure;

  constructor(failure: Failure, cause?: unknown) {
    super({ code: failures[failure.code].trpcCode, message: failure.code, cause });
    this.failure = failure;
  }
}

/** @returns `overloaded` if the database caused the error, in the kernel or in a feature's own query */
export function databaseFailure(error: unknown): FailureError | undefined {
  if (!isDatabaseUnavailable(error)) return undefined;
  return new FailureError({ code: 'overloaded', retryAfter: DATABASE_RETRY_AFTER_SECONDS }, error);
}

/** Undefined for an unexpected error. Covers what tRPC throws, so a mistake gets the same code from either. */
export function failureFor(error: TRPCError): Failure | undefined {
  if (error instanceof FailureError) return error.failure;
  switch (error.code) {
    case 'BAD_REQUEST':
    case 'PARSE_ERROR':
      return { code: 'invalid_input', fields: error.cause instanceof $ZodError ? fieldsOf(error.cause) : {} };
    case 'PAYLOAD_TOO_LARGE':
      return { code: 'payload_too_large' };
    case 'UNSUPPORTED_MEDIA_TYPE':
      return { code: 'unsupported_content' };
    default:
      return undefined;
  }
}

/** The `Retry-After` header for a response with these errors, if any (RFC 9110, section 10.2.3). */
export function retryAfter(errors: readonly TRPCError[]): Record<string, string> {
  const seconds = errors
    .map(failureFor)
    .flatMap((failure) => (failure && 'retryAfter' in failure ? failure.retryAfter : []));
  return seconds.length === 0 ? {} : { 'Retry-After': String(Math.ceil(Math.max(...seconds))) };
}

/** Messages by top-level field. Issues with the input as a whole are left out. */
function fieldsOf({ issues }: $ZodError): Record<string, string[]> {
  const fields = new Map<string, string[]>();
  for (const issue of issues) {
    const names = issue.code === 'unrecognized_keys' ? issue.keys : issue.path.slice(0, 1).map(String);
    const message = issue.code === 'unrecognized_keys' ? 'Unknown field.' : issue.message;
    for (const name of names) fields.set(name, [...(fields.get(name) ?? []), message]);
  }
  return Object.fromEntries(fields);
}
