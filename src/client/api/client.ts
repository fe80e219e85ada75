import {
  createTRPCClient,
  httpBatchLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  type Operation,
} from '@trpc/client';
import { createTRPCReact } from '@trpc/react-query';
import { EventSource } from 'eventsource';
import type { AppRouter } from '../../server/router.ts';
import { failureOf } from '../../shared/failures.ts';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { createSession, type RefreshOutcome } from './session.ts';

const url = '/trpc';

/** Never with `keepalive`: an answer that lands after the page is gone would put an old cookie back. */
const send: typeof fetch = (input, init) =>
  fetch(input, { ...init, credentials: 'include', cache: 'no-store', redirect: 'error' });

/** What the session itself calls. Not the guarded client below: its calls wait for the session. */
const plain = createTRPCClient<AppRouter>({ links: [httpLink({ url, fetch: send })] });

/**
 * Whether the browser sent the cookie along with the request for this page. No script can see it, so the server says so in
 * a header that scripts can. Without it, and without a memory of a login, nobody is asked: a first visit has nothing to fail.
 */
function cookieCameAlong(): boolean {
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return navigation?.serverTiming?.some(({ name }) => name === 'session') ?? false;
}

export const session = createSession({
  refreshOnFirstVisit: cookieCameAlong(),
  refresh: ({ signal }) =>
    plain.auth.refresh.mutate(undefined, { signal }).then((grant) => ({ kind: 'granted', grant }), refused),
  logout: async ({ signal }) => {
    await plain.auth.logout.mutate(undefined, { signal });
  },
});

/** Only a definite no ends a session. Everything else may be a tunnel, a restart or a proxy. */
function refused(cause: unknown): RefreshOutcome {
  const failure = failureOf(cause);
  if (failure?.code === 'session_ended') return { kind: 'ended', reason: failure.reason };
  const retryAfterMs = failure && 'retryAfter' in failure ? failure.retryAfter * 1000 : undefined;
  return { kind: 'unavailable', ...(retryAfterMs !== undefined && { retryAfterMs }), cause };
}

const headers = authHeaders(session);
/** As plain as `fetch` wants them. */
const tokenFor = (op: Operation) => headers({ op }) as Record<string, string>;

export const trpcClient = createTRPCClient<AppRouter>({
  links: [
    refreshLink({ session }),
    splitLink({
      condition: (op) => op.type === 'subscription',
      true: httpSubscriptionLink({
        url,
        // Not the browser's own, which takes no headers: the token would have to go into the URL.
        EventSource,
        eventSourceOptions: ({ op }) => ({
          // Called for each connection, so that one that is made anew brings the token of now.
          fetch: (input, init) => send(input, { ...init, headers: { ...init.headers, ...tokenFor(op) } }),
        }),
      }),
      false: splitLink({
        // Register and login: they set the cookie, so they travel alone, and without a token.
        condition: (op) => op.context.skipAuth === true,
        true: httpLink({ url, fetch: send }),
        // The server refuses more calls at once.
        false: httpBatchLink({ url, fetch: send, headers, maxItems: 20 }),
      }),
    }),
  ],
});

export const trpc = createTRPCReact<AppRouter>();

/** Settles when the first question for a session has: answered or, where the state is still unknown, not. */
export const started = session.start();
