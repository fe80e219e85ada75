import { createTRPCClient, httpLink } from '@trpc/client';
import type { AppRouter } from '../../server/router.ts';
import { grantSchema, type User } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import { createSession, type RefreshOutcome } from './session/index.ts';

export const url = '/trpc';

/** Never with `keepalive`: an answer that lands after the page is gone would put an old cookie back. */
export const send: typeof fetch = (input, init) =>
  fetch(input, { ...init, credentials: 'include', cache: 'no-store', redirect: 'error' });

/**
 * For the calls that set or clear the cookie: each travels alone, without a token, and waits for nothing. All that guests
 * need, so that their first download is without the refresh link, batches, streams and the query cache of client.ts.
 */
export const cookieClient = createTRPCClient<AppRouter>({ links: [httpLink({ url, fetch: send })] });

/**
 * Whether the browser sent the cookie with the request for this page. Scripts cannot see the cookie, but they can see the
 * header in which the server says so. Without either header or marker nobody is asked, so a first visit has no failing request.
 */
function cameWithCookie(): boolean {
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return navigation?.serverTiming?.some(({ name }) => name === 'session') ?? false;
}

export const session = createSession<User>({
  refreshOnFirstVisit: cameWithCookie(),
  refresh: ({ signal }) =>
    cookieClient.auth.refresh
      .mutate(undefined, { signal })
      .then((grant) => ({ kind: 'granted', grant: grantSchema.parse(grant) }), outcomeOf),
  logout: async ({ signal }) => {
    await cookieClient.auth.logout.mutate(undefined, { signal });
  },
});

/** Only a definite answer ends a session. Anything else may be a tunnel, a restart or a proxy. */
function outcomeOf(cause: unknown): RefreshOutcome<User> {
  const failure = failureOf(cause);
  if (failure?.code === 'session_ended') return { kind: 'ended', reason: failure.reason };
  const retryAfterMs = failure && 'retryAfter' in failure ? failure.retryAfter * 1000 : undefined;
  return { kind: 'unavailable', ...(retryAfterMs !== undefined && { retryAfterMs }), cause };
}

/** Settles when the first refresh has, or was found unnecessary; the state is still unknown if the server did not answer. */
export const started = session.start();
