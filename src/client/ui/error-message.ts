import { failureMessage, failureOf } from '../../shared/failures.ts';

interface CallError {
  /** Undefined unless our server responded: the error page of a proxy has no tRPC error code. */
  data?: { code?: unknown } | null;
  meta?: { refresh?: unknown };
  cause?: unknown;
}

/** @param error anything a call has thrown */
export function errorMessage(error: unknown): string {
  const failure = failureOf(error);
  if (failure) return failureMessage(failure);
  const { data, meta, cause } = (error ?? {}) as CallError;
  if (data?.code !== undefined) return 'Something went wrong on our side. Please try again.';
  if (meta?.refresh === 'unavailable')
    // The call was never sent: people need to know what became of the refresh.
    return cause === undefined ? 'Your session could not be renewed. Please try again.' : errorMessage(cause);
  return 'We cannot reach the server. Check your connection and try again.';
}
