import { failureMessage, failureOf } from '../../shared/failures.ts';

/**
 * The sentence to show when a call has failed, whether the failure was expected or not.
 * @param error anything a call has thrown
 */
export function errorMessage(error: unknown): string {
  const failure = failureOf(error);
  if (failure) return failureMessage(failure);
  return hasAnswer(error)
    ? 'Something went wrong on our side. Please try again.'
    : 'We cannot reach the server. Check your connection and try again.';
}

/** Whether the server itself answered. The error page of a proxy has no tRPC error code. */
const hasAnswer = (error: unknown): boolean => (error as { data?: { code?: unknown } | null }).data?.code !== undefined;
