import { failureMessage, failureOf } from '../../shared/failures.ts';

/** The parts of a tRPC error that tell what happened to a call. */
interface CallError {
  /** Undefined unless the server itself answered: the error page of a proxy has no tRPC error code. */
  data?: { code?: unknown } | null;
  meta?: { refresh?: unknown };
  cause?: unknown;
}

/**
 * The sentence to show when a call has failed, whether the failure was expected or not.
 * @param error anything a call has thrown
 */
export function errorMessage(error: unknown): string {
  const failure = failureOf(error);
  if (failure) return failureMessage(failure);
  const { data, meta, cause } = (error ?? {}) as CallError;
  if (data?.code !== undefined) return 'Something went wrong on our side. Please try again.';
  if (meta?.refresh === 'unavailable')
    // Not sent, because the refresh before it failed: what became of that is what the person needs to know.
    return cause === undefined ? 'Your session could not be renewed. Please try again.' : errorMessage(cause);
  return 'We cannot reach the server. Check your connection and try again.';
}
