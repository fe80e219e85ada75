import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink } from '@trpc/client';
import { createTRPCReact } from '@trpc/react-query';
import { EventSource } from 'eventsource';
import type { AppRouter } from '../../server/router.ts';
import { BATCH_LIMIT } from '../../shared/calls.ts';
import { send, session, url } from './app-session.ts';
import { reauthentication } from './reauthentication.ts';
import { authHeaders, refreshLink } from './refresh-link.ts';
import { stepUpLink } from './step-up-link.ts';

const headers = authHeaders(session);
/** In characters: a longer batch is sent as several, as proxies refuse URLs of 8 KB. */
const URL_MAX_LENGTH = 4_000;

/** Never import this from the guest pages: it would double their download. */
export const trpcClient = createTRPCClient<AppRouter>({
  links: [
    stepUpLink({ session, ...reauthentication }),
    refreshLink({ session }),
    splitLink({
      condition: (op) => op.type === 'subscription',
      true: httpSubscriptionLink({
        url,
        // The browser's own cannot send headers, so the token would have to go into the URL.
        EventSource,
        eventSourceOptions: ({ op }) => ({
          // Called for every connection, so reconnecting uses the current token.
          fetch: (input, init) => send(input, { ...init, headers: { ...init.headers, ...headers({ op }) } }),
        }),
      }),
      false: httpBatchLink({ url, fetch: send, headers, maxItems: BATCH_LIMIT, maxURLLength: URL_MAX_LENGTH }),
    }),
  ],
});

export const trpc = createTRPCReact<AppRouter>();
