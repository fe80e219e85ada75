import {
  createTRPCClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  type Operation,
  type TRPCClient,
  type TRPCLink,
} from '@trpc/client';
import { EventSource } from 'eventsource';
import { authHeaders, refreshLink } from '../../src/client/api/refresh-link.ts';
import { createSession, type RefreshOutcome } from '../../src/client/api/session/index.ts';
import { LIFETIME_S, type Router, type World } from './world.ts';

export const ends = ['httpLink', 'httpBatchLink', 'httpBatchStreamLink'] as const;
export type End = (typeof ends)[number];

export interface App {
  /** Each call creates another client, for the same person. */
  client(end: End): TRPCClient<Router>;
  isSignedIn(): boolean;
  /** How often the app learned that the session has ended. */
  endings(): number;
  signOut(): void;
  dispose(): void;
}

/** Cases for what a link does not promise are left out, not failed. */
export type Promised = 'recovers from a refusal' | 'watches the clock' | 'reports when to retry' | 'lets calls skip it';

export interface Adapter {
  name: string;
  promises: readonly Promised[];
  connect(world: World, signedIn: boolean): App;
}

const url = 'http://localhost/trpc';

/** The terminating links, the same for every adapter. */
export function clientOf(
  world: World,
  guard: TRPCLink<Router>,
  headers: (o: { op?: Operation; opList?: Operation[] }) => Record<string, string>,
  end: End,
): TRPCClient<Router> {
  const options = { url, fetch: world.fetch };
  const sending = {
    httpLink: () => httpLink<Router>({ ...options, headers: ({ op }) => headers({ op }) }),
    httpBatchLink: () => httpBatchLink<Router>({ ...options, headers: ({ opList }) => headers({ opList }) }),
    httpBatchStreamLink: () =>
      httpBatchStreamLink<Router>({ ...options, headers: ({ opList }) => headers({ opList }) }),
  };
  return createTRPCClient<Router>({
    links: [
      guard,
      // A logger link in between could print whatever it sees.
      () =>
        ({ op, next }) => {
          world.logged.push(op.context, ...Reflect.ownKeys(op.context).map((key) => Reflect.get(op.context, key)));
          return next(op);
        },
      splitLink({
        condition: (op) => op.type === 'subscription',
        true: httpSubscriptionLink({
          url,
          EventSource,
          eventSourceOptions: ({ op }) => ({
            fetch: (input: string | URL, init?: RequestInit) =>
              world.fetch(input, {
                ...init,
                headers: [...new Headers(init?.headers), ...Object.entries(headers({ op }))],
              }),
          }),
        }),
        false: sending[end](),
      }),
    ],
  });
}

export const noGuard: TRPCLink<Router> =
  () =>
  ({ op, next }) =>
    next(op);

async function tokensOf(response: Response): Promise<{ accessToken: string; refreshToken: string }> {
  if (!response.ok) throw Object.assign(new Error(`refused: ${response.status}`), { status: response.status });
  return (await response.json()) as { accessToken: string; refreshToken: string };
}

const isOver = (error: unknown): boolean => (error as { status?: number }).status === 401;

export const ours: Adapter = {
  name: 'ours',
  promises: ['recovers from a refusal', 'watches the clock', 'reports when to retry', 'lets calls skip it'],
  connect(world, signedIn) {
    const grantOf = ({ accessToken }: { accessToken: string }) => ({
      accessToken,
      expiresIn: LIFETIME_S,
      session: { id: 's1', generation: world.generation() },
      user: { id: 'u1' },
    });
    const answered = async (response: Response): Promise<RefreshOutcome> => {
      if (response.status === 401) return { kind: 'ended', reason: 'expired' };
      const retryAfterMs = 1000 * Number(response.headers.get('retry-after'));
      if (!response.ok) return { kind: 'unavailable', retryAfterMs };
      return { kind: 'granted', grant: grantOf(await tokensOf(response)) };
    };
    const session = createSession({
      refresh: (o) => world.refresh(o).then(answered),
      logout: async () => {},
      refreshOnFirstVisit: false,
      cooldown: { baseMs: 100, maxMs: 100 },
      environment: { now: world.now },
    });
    let endings = 0;
    session.subscribe(() => {
      if (session.state.status === 'signed-out') endings++;
    });
    if (signedIn) session.signIn(grantOf(world.issue()));
    else void session.signOut();
    endings = 0;
    const headers = authHeaders(session);
    return {
      client: (end) => clientOf(world, refreshLink<Router>({ session }), headers, end),
      isSignedIn: () => session.state.status === 'signed-in',
      endings: () => endings,
      signOut: () => void session.signOut(),
      dispose: () => session.dispose(),
    };
  },
};

/** The storage of the apps around the other two links. */
function storage(world: World, signedIn: boolean) {
  let tokens = signedIn ? world.issue() : undefined;
  let endings = 0;
  return {
    get: () => tokens,
    set: (next: { accessToken: string; refreshToken: string }) => void (tokens = next),
    end() {
      tokens = undefined;
      endings++;
    },
    headers: (): Record<string, string> => (tokens ? { authorization: `Bearer ${tokens.accessToken}` } : {}),
    app: {
      isSignedIn: () => tokens !== undefined,
      endings: () => endings,
      signOut: () => void (tokens = undefined),
      dispose: () => {},
    },
  };
}

interface PynczModule {
  refreshTokenLink(options: {
    getRefreshToken: () => string | undefined;
    fetchJwtPairByRefreshToken: (token: string) => Promise<{ access: string; refresh: string }>;
    onJwtPairFetched: (pair: { access: string; refresh: string }) => void;
    onRefreshFailed: (error: unknown) => void;
  }): TRPCLink<Router>;
}

async function pyncz(): Promise<Adapter> {
  const { refreshTokenLink } = await load<PynczModule>('@pyncz/trpc-refresh-token-link');
  return {
    name: '@pyncz/trpc-refresh-token-link',
    promises: ['recovers from a refusal'],
    connect(world, signedIn) {
      const store = storage(world, signedIn);
      const guard = refreshTokenLink({
        getRefreshToken: () => store.get()?.refreshToken,
        fetchJwtPairByRefreshToken: () =>
          world
            .refresh()
            .then(tokensOf)
            .then(({ accessToken, refreshToken }) => ({ access: accessToken, refresh: refreshToken })),
        onJwtPairFetched: ({ access, refresh }) => store.set({ accessToken: access, refreshToken: refresh }),
        // Its README logs out on any failure. An app can do better, and this one does.
        onRefreshFailed(error) {
          if (isOver(error)) store.end();
        },
      });
      return { ...store.app, client: (end) => clientOf(world, guard, store.headers, end) };
    },
  };
}

interface LarskarboModule {
  tokenRefreshLink(options: {
    tokenRefreshNeeded: (op: Operation) => boolean;
    fetchAccessToken: () => Promise<void>;
  }): TRPCLink<Router>;
}

async function larskarbo(): Promise<Adapter> {
  const { tokenRefreshLink } = await load<LarskarboModule>('trpc-token-refresh-link');
  return {
    name: 'trpc-token-refresh-link',
    promises: ['watches the clock', 'lets calls skip it'],
    connect(world, signedIn) {
      const store = storage(world, signedIn);
      const guard = tokenRefreshLink({
        tokenRefreshNeeded: (op) => op.path !== 'login' && store.get() !== undefined && world.isDueByClock,
        fetchAccessToken: () =>
          world
            .refresh()
            .then(tokensOf)
            .then(store.set, (error: unknown) => {
              if (isOver(error)) store.end();
              // In its README the error ends here, and the operation would be sent with the dead token.
              throw error;
            }),
      });
      return { ...store.app, client: (end) => clientOf(world, guard, store.headers, end) };
    },
  };
}

/** By a variable name, so that the compiler does not require the package. */
async function load<T>(name: string): Promise<T> {
  return (await import(name)) as T;
}

export const adapters = async (): Promise<Adapter[]> => [ours, await pyncz(), await larskarbo()];
