import { QueryClient } from '@tanstack/react-query';
import { getQueryKey } from '@trpc/react-query';
import { failureOf } from '../../shared/failures.ts';
import { session } from './app-session.ts';
import { trpc } from './client.ts';
import { isUnavailable } from './refresh-link.ts';
import { followSession } from './session-cache.ts';

// By default TanStack Query silently pauses calls while offline: a page would load for ever, and a mutation be sent at some
// later time. Here they fail, and say so.
const networkMode = 'always';
const RETRY_DELAY_MAX_MS = 30_000;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      networkMode,
      refetchOnReconnect: true,
      retry: (count, error) => (isUnavailable(error) ? count < 5 : !isRefusal(error) && count < 3),
      retryDelay,
    },
    // No retries, which is the default: a failed mutation may have been run.
    mutations: { networkMode },
  },
});

/** Asked again, the server would say the same. */
function isRefusal(error: unknown): boolean {
  const status = (error as { data?: { httpStatus?: number } | null }).data?.httpStatus;
  return status !== undefined && status >= 400 && status < 500;
}

/** In milliseconds: not before the server, or the session that waits for it, wants to be asked again. */
function retryDelay(count: number, error: unknown): number {
  const failure = failureOf(error);
  const { retryAfterMs = 0 } = (error as { meta?: { retryAfterMs?: number } }).meta ?? {};
  const orderedMs = failure && 'retryAfter' in failure ? failure.retryAfter * 1000 : retryAfterMs;
  return Math.max(orderedMs, Math.min(1000 * 2 ** count, RETRY_DELAY_MAX_MS));
}

followSession(queryClient, session, (user) => {
  queryClient.setQueryData(getQueryKey(trpc.auth.me, undefined, 'query'), user);
});
