import { createTRPCClient, httpBatchLink, httpLink } from '@trpc/client';
import type { Grant } from '../../src/shared/auth.ts';
import type { AppRouter } from '../../src/server/router.ts';
import { authHeaders, refreshLink } from '../../src/client/api/refresh-link.ts';
import { createSession } from '../../src/client/api/session/index.ts';
import { accessTokenOf, population, refreshTokenOf, type SeededSession } from '../population.ts';
import type { Part, Row } from '../results.ts';
import { startProduct } from '../servers/stacks.ts';

const QUERIES = 20;

export const expiredPage: Part = async () => {
  await using people = await population(5);
  await using product = await startProduct(people);
  const [, ...sessions] = people.sessions;
  const rows: Row[] = [];
  for (const batched of [true, false])
    for (const knows of [true, false]) {
      const count = await requestsUntilWhole(`http://127.0.0.1:${product.port}`, sessions.pop()!, { batched, knows });
      const how = `${batched ? 'batched' : 'not batched'}, expiry ${knows ? 'known' : 'not known'}`;
      rows.push({ what: `requests of an expired page with ${QUERIES} queries (${how})`, reached: String(count) });
    }
  return rows;
};

/**
 * Counts the requests of a page whose token has expired and that has twenty queries, until all are answered.
 * @param knows whether the page knows about the expiry, or learns of it from the server
 */
async function requestsUntilWhole(
  url: string,
  seeded: SeededSession,
  { batched, knows }: { batched: boolean; knows: boolean },
): Promise<number> {
  let requests = 0;
  const send = (input: RequestInfo | URL, init?: RequestInit) => {
    requests++;
    return fetch(input, init);
  };
  const cookie = `__Host-refreshToken=${refreshTokenOf(seeded)}`;
  const plain = createTRPCClient<AppRouter>({
    links: [httpLink({ url: `${url}/trpc`, fetch: send, headers: { cookie } })],
  });
  let later = 0;
  const session = createSession({
    refresh: async ({ signal }) => ({
      kind: 'granted',
      grant: await plain.auth.refresh.mutate(undefined, { signal }),
    }),
    logout: async () => {},
    environment: { now: () => Date.now() + later },
  });
  const link = batched ? httpBatchLink : httpLink;
  const client = createTRPCClient<AppRouter>({
    links: [refreshLink({ session }), link({ url: `${url}/trpc`, fetch: send, headers: authHeaders(session) })],
  });
  const grant: Grant = {
    accessToken: accessTokenOf(seeded, -1),
    expiresIn: 900,
    session: { id: seeded.id, generation: 1 },
    user: {
      id: seeded.userId,
      username: 'x',
      email: 'x@example.com',
      emailVerified: false,
      role: 'user',
      createdAt: '',
    },
  };
  session.signIn(grant);
  if (knows) later = 901_000;
  await Promise.all(Array.from({ length: QUERIES }, () => client.auth.me.query()));
  session.dispose();
  return requests;
}
