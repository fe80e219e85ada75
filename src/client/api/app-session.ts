import { createTRPCClient, httpLink } from '@trpc/client';
import type { AppRouter } from '../../server/router.ts';
import { grantSchema, type User } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import { pageFact } from './page-facts.ts';
import { createSession, type RefreshOutcome } from './session/index.ts';

export const url = '/trpc';

/** Never use `keepalive`: a response that arrives after the page is gone would restore an old cookie. */
export const send: typeof fetch = (input, init) =>
  fetch(input, { ...init, credentials: 'include', cache: 'no-store', redirect: 'error' });

/**
 * For calls that set or clear the cookie, and those that anyone may make: never batched, no token, no waiting for a
 * refresh. Being all that guests need, it keeps the refresh link, batching, streams and the query cache of client.ts out
 * of their download.
 */
export const plainClient = createTRPCClient<AppRouter>({ links: [httpLink({ url, fetch: send })] });

export const session = createSession<User>({
  // Scripts cannot see the cookie. With neither header nor marker, a first visit makes no failing request.
  refreshOnFirstVisit: pageFact('session') !== undefined,
  refresh: ({ signal }) =>
    plainClient.auth.refresh
      .mutate(undefined, { signal })
      .then((grant) => ({ kind: 'granted', grant: grantSchema.parse(grant) }), outcomeOf),
  logout: async ({ signal }) => {
    await plainClient.auth.logout.mutate(undefined, { signal });
  },
});

/** Only a definite answer ends a session. Anything else may be a tunnel, a restart or a proxy. */
function outcomeOf(cause: unknown): RefreshOutcome<User> {
  const failure = failureOf(cause);
  if (failure?.code === 'session_ended') return { kind: 'ended', reason: failure.reason };
  const retryAfterMs = failure && 'retryAfter' in failure ? failure.retryAfter * 1000 : undefined;
  return { kind: 'unavailable', ...(retryAfterMs !== undefined && { retryAfterMs }), cause };
}

/**
 * Settles once the first refresh has, or is found unnecessary. The state stays unknown if the server did not answer.
 */
export const started = session.start();
