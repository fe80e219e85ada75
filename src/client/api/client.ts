import { createTRPCClient, httpBatchLink, httpLink, httpSubscriptionLink, splitLink } from '@trpc/client';
import { createTRPCReact } from '@trpc/react-query';
import { EventSource } from 'eventsource';
import type { AppRouter } from '../../server/router.ts';
import { grantSchema, type User } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { createSession, type RefreshOutcome } from './session/index.ts';

const url = '/trpc';

/** Never with `keepalive`: an answer that lands after the page is gone would put an old cookie back. */
const send: typeof fetch = (input, init) =>
  fetch(input, { ...init, credentials: 'include', cache: 'no-store', redirect: 'error' });

/** For the session's own requests. Calls of the guarded client below wait for the session. */
const plain = createTRPCClient<AppRouter>({ links: [httpLink({ url, fetch: send })] });

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
    plain.auth.refresh
      .mutate(undefined, { signal })
      .then((grant) => ({ kind: 'granted', grant: grantSchema.parse(grant) }), outcomeOf),
  logout: async ({ signal }) => {
    await plain.auth.logout.mutate(undefined, { signal });
  },
});

/** Only a definite answer ends a session. Anything else may be a tunnel, a restart or a proxy. */
function outcomeOf(cause: unknown): RefreshOutcome<User> {
  const failure = failureOf(cause);
  if (failure?.code === 'session_ended') return { kind: 'ended', reason: failure.reason };
  const retryAfterMs = failure && 'retryAfter' in failure ? failure.retryAfter * 1000 : undefined;
  return { kind: 'unavailable', ...(retryAfterMs !== undefined && { retryAfterMs }), cause };
}

const headers = authHeaders(session);

export const trpcClient = createTRPCClient<AppRouter>({
  links: [
    refreshLink({ session }),
    splitLink({
      condition: (op) => op.type === 'subscription',
      true: httpSubscriptionLink({
        url,
        // Not the browser's own, which cannot send headers: the token would have to go into the URL.
        EventSource,
        eventSourceOptions: ({ op }) => ({
          // Called for every connection, so a reconnect carries the current token.
          fetch: (input, init) => send(input, { ...init, headers: { ...init.headers, ...headers({ op }) } }),
        }),
      }),
      false: splitLink({
        // Register and login: they set the cookie, so they travel alone, and without a token.
        condition: (op) => op.context.skipAuth === true,
        true: httpLink({ url, fetch: send }),
        // The server refuses larger batches.
        false: httpBatchLink({ url, fetch: send, headers, maxItems: 20 }),
      }),
    }),
  ],
});

export const trpc = createTRPCReact<AppRouter>();

/** Settles when the first refresh has, or was found unnecessary; the state is still unknown if the server did not answer. */
export const started = session.start();
