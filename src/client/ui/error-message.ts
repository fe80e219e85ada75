import { failureOf, failureMessage } from '../../shared/failures.ts';

/**
 * What a person reads when a call did not work, expected or not.
 * @param error anything that a call has thrown
 */
export function errorMessage(error: unknown): string {
  const failure = failureOf(error);
  if (failure) return failureMessage(failure);
  return answered(error)
    ? 'Something went wrong on our side. Please try again.'
    : 'We cannot reach the server. Check your connection and try again.';
}

/** Whether the server has answered at all, in tRPC's own form; a proxy before it does not. */
const answered = (error: unknown): boolean => (error as { data?: { code?: unknown } | null }).data?.code !== undefined;
