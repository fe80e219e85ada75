import { QueryClient } from '@tanstack/react-query';
import { getQueryKey } from '@trpc/react-query';
import type { User } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import { session, trpc } from './client.ts';
import { isUnavailable } from './refresh-link.ts';

// By default a call that is made without a network is put off without a word: a page would load for ever, and a mutation
// be sent at some later time. Here it fails, and says so.
const networkMode = 'always';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      networkMode,
      refetchOnReconnect: true,
      retry: (count, error) => (isUnavailable(error) ? count < 5 : !isRefusal(error) && count < 3),
      retryDelay,
    },
    // And no retry, which is the default: before the next try another person may have logged in.
    mutations: { networkMode },
  },
});

/** Asked again, the server would say the same. */
function isRefusal(error: unknown): boolean {
  const status = (error as { data?: { httpStatus?: number } | null }).data?.httpStatus;
  return status !== undefined && status >= 400 && status < 500;
}

/** In milliseconds: not before the server, or the session that waits for it, has asked to be tried again. */
function retryDelay(count: number, error: unknown): number {
  const failure = failureOf(error);
  const { retryAfterMs = 0 } = (error as { meta?: { retryAfterMs?: number } }).meta ?? {};
  const asked = failure && 'retryAfter' in failure ? failure.retryAfter * 1000 : retryAfterMs;
  return Math.max(asked, Math.min(1000 * 2 ** count, 30_000));
}

let person = personOf();
session.subscribe(() => {
  const before = person;
  person = personOf();
  if (before === undefined || before === person) return;
  if (before.id === person?.id) {
    // The same person under another name, say: changed in another tab, or on the server.
    queryClient.setQueryData(getQueryKey(trpc.auth.me, undefined, 'query'), person);
    return;
  }
  // One person's data is never shown to the next, nor kept for whoever sits down at the screen afterwards. What is under
  // way is called off first: its answer would be put where everything has just been cleared away.
  void queryClient.cancelQueries();
  queryClient.clear();
});

function personOf(): User | undefined {
  return session.state.status === 'signed-in' ? session.state.user : undefined;
}
