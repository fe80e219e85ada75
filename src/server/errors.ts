import { TRPCError, type TRPC_ERROR_CODE_KEY } from '@trpc/server';
import { ZodError } from 'zod';
import type { Failure, FailureCode } from '../shared/failures.ts';
import { isOutage } from './db/sqlite.ts';

const TRPC_CODES: Record<FailureCode, TRPC_ERROR_CODE_KEY> = {
  invalid_input: 'BAD_REQUEST',
  username_taken: 'CONFLICT',
  email_taken: 'CONFLICT',
  invalid_credentials: 'UNAUTHORIZED',
  access_token_missing: 'UNAUTHORIZED',
  access_token_expired: 'UNAUTHORIZED',
  access_token_invalid: 'UNAUTHORIZED',
  session_ended: 'UNAUTHORIZED',
  rate_limited: 'TOO_MANY_REQUESTS',
  overloaded: 'SERVICE_UNAVAILABLE',
  origin_not_allowed: 'FORBIDDEN',
  payload_too_large: 'PAYLOAD_TOO_LARGE',
  batch_refused: 'BAD_REQUEST',
  unsupported_content: 'UNSUPPORTED_MEDIA_TYPE',
};

/** When to try again while the database is locked or gone. In seconds. */
const RETRY_DATABASE_AFTER = 1;

/** An expected failure on its way out. Its message is the code: sentences are the client's. */
export class Refusal extends TRPCError {
  readonly failure: Failure;

  constructor(failure: Failure, cause?: unknown) {
    super({ code: TRPC_CODES[failure.code], message: failure.code, cause });
    this.failure = failure;
  }
}

/** The refusal that an error calls for whose cause is the database, be it asked through a verb or by a feature's own query. */
export function refusalFor(cause: unknown): Refusal | undefined {
  if (!isOutage(cause)) return undefined;
  return new Refusal({ code: 'overloaded', retryAfter: RETRY_DATABASE_AFTER }, cause);
}

/**
 * The failure that an error stands for, if it was expected. Reads what tRPC itself throws too, so that the same mistake
 * gets the same code wherever it is found.
 */
export function failureFor(error: TRPCError): Failure | undefined {
  if (error instanceof Refusal) return error.failure;
  switch (error.code) {
    case 'BAD_REQUEST':
    case 'PARSE_ERROR':
      return { code: 'invalid_input', fields: error.cause instanceof ZodError ? fieldsOf(error.cause) : {} };
    case 'PAYLOAD_TOO_LARGE':
      return { code: 'payload_too_large' };
    case 'UNSUPPORTED_MEDIA_TYPE':
      return { code: 'unsupported_content' };
    default:
      return undefined;
  }
}

/** Messages by the name of the top-level field that they are about; those about the input as a whole have no field. */
function fieldsOf({ issues }: ZodError): Record<string, string[]> {
  const fields = new Map<string, string[]>();
  for (const issue of issues) {
    const names = issue.code === 'unrecognized_keys' ? issue.keys : issue.path.slice(0, 1).map(String);
    const message = issue.code === 'unrecognized_keys' ? 'There is no such field.' : issue.message;
    for (const name of names) fields.set(name, [...(fields.get(name) ?? []), message]);
  }
  return Object.fromEntries(fields);
}
