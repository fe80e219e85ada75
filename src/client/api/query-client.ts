import { QueryClient } from '@tanstack/react-query';
import { getQueryKey } from '@trpc/react-query';
import { failureOf } from '../../shared/failures.ts';
import { session } from './app-session.ts';
import { trpc } from './client.ts';
import { isUnavailable } from './refresh-link.ts';
import { followSession } from './session-cache.ts';

// By default TanStack Query pauses calls while offline: pages would load forever, and mutations would be sent at some
// later time.
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
    // No retries (the default): a failed mutation may have run.
    mutations: { networkMode },
  },
});

function isRefusal(error: unknown): boolean {
  const status = (error as { data?: { httpStatus?: number } | null }).data?.httpStatus;
  return status !== undefined && status >= 400 && status < 500;
}

/** In milliseconds; at least as long as the server, or the session waiting for it, asks for. */
function retryDelay(count: number, error: unknown): number {
  const failure = failureOf(error);
  const { retryAfterMs = 0 } = (error as { meta?: { retryAfterMs?: number } }).meta ?? {};
  const orderedMs = failure && 'retryAfter' in failure ? failure.retryAfter * 1000 : retryAfterMs;
  return Math.max(orderedMs, Math.min(1000 * 2 ** count, RETRY_DELAY_MAX_MS));
}

followSession(queryClient, session, (user) => {
  queryClient.setQueryData(getQueryKey(trpc.auth.me, undefined, 'query'), user);
});
