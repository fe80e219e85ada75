import { initTRPC, tracked, TRPCError } from '@trpc/server';
import { fetchRequestHandler } from '@trpc/server/adapters/fetch';
import { z } from 'zod';
import type { Failure } from '../../src/shared/failures.ts';

/** A looping link gets no more responses, so that the next case can run. */
const LOOP = 40;
const EVENTS = 5;
export const LIFETIME_S = 900;

class Refused extends Error {
  readonly failure: Failure;
  constructor(code: 'access_token_missing' | 'access_token_invalid' | 'access_token_expired' | 'invalid_credentials') {
    super(code);
    this.failure = { code };
  }
}

const refuse = (code: ConstructorParameters<typeof Refused>[0]) =>
  new TRPCError({ code: 'UNAUTHORIZED', message: code, cause: new Refused(code) });

interface Context {
  authorization: string | undefined;
}

function createRouter(check: (authorization: string | undefined) => void, ran: string[], expire: () => void) {
  const t = initTRPC.context<Context>().create({
    errorFormatter: ({ shape, error }) => ({
      ...shape,
      data: { ...shape.data, failure: error.cause instanceof Refused ? error.cause.failure : undefined },
    }),
    sse: { ping: { enabled: false } },
  });
  const note = (what: string) => {
    ran.push(what);
    return what;
  };
  const open = t.procedure.input(z.string());
  const guarded = open.use(({ ctx, next }) => {
    check(ctx.authorization);
    return next();
  });
  return t.router({
    open: open.query(({ input }) => note(input)),
    me: guarded.query(({ input }) => note(input)),
    act: guarded.mutation(({ input }) => note(input)),
    /** Takes effect before it refuses: not every server checks first. */
    late: open.mutation(({ input }) => {
      note(input);
      throw new TRPCError({ code: 'UNAUTHORIZED' });
    }),
    login: open.mutation(({ input }) => {
      note(input);
      throw refuse('invalid_credentials');
    }),
    /** Its token expires after every second event. */
    events: t.procedure
      .input(z.object({ lastEventId: z.string().optional() }).optional())
      .use(({ ctx, next }) => {
        check(ctx.authorization);
        return next();
      })
      .subscription(async function* ({ input, ctx }) {
        for (let id = Number(input?.lastEventId ?? 0) + 1; id <= EVENTS; id++) {
          yield tracked(`${id}`, id);
          if (id % 2 === 0) expire();
          check(ctx.authorization);
        }
      }),
  });
}
export type Router = ReturnType<typeof createRouter>;

export type RefreshAnswer = 'grant' | 'ended' | 'no network' | 'busy' | 'nonsense' | 'never' | 'throws';

interface Sent {
  url: string;
  refused: number;
  aborted: boolean;
}

/** A real tRPC server behind a `fetch`, a refresh endpoint, and the clock of one client. */
export function createWorld() {
  const good = new Set<string>();
  const ran: string[] = [];
  const sent: Sent[] = [];
  let serial = 0;
  let refused = 0;
  let refreshes = 0;
  let sleptMs = 0;

  const world = {
    ran,
    sent,
    logged: [] as unknown[],
    refreshes: () => refreshes,
    /** How refreshes are answered from now on. */
    answer: 'grant' as RefreshAnswer,
    /** Delays the refresh. */
    hold: undefined as Promise<unknown> | undefined,
    /** Delays the requests it picks, before or after the server handles them. */
    holdRequest: undefined as ((url: string, isGood: boolean) => Promise<unknown> | undefined) | undefined,
    holdAnswer: undefined as ((url: string) => Promise<unknown> | undefined) | undefined,
    loses: undefined as ((url: string, isGood: boolean) => boolean) | undefined,
    refusesAll: false,
    contextRefuses: false,
    /** Whether the client could tell from its clock that the token has expired. */
    isDueByClock: false,
    now: () => Date.now() + sleptMs,
    issue() {
      const accessToken = `secret-${++serial}`;
      good.add(accessToken);
      world.isDueByClock = false;
      return { accessToken, refreshToken: `cookie-${serial}` };
    },
    generation: () => serial,
    /** Expires the token, visibly to a client that checks the clock. */
    expire() {
      good.clear();
      world.isDueByClock = true;
    },
    /** Revokes the token early. */
    revoke() {
      good.clear();
    },
    sleep() {
      world.expire();
      sleptMs += 3_600_000;
    },
    refusals: () => refused,
    fetch: send,
    refresh,
  };

  const check = (authorization: string | undefined) => {
    if (authorization === undefined) {
      refused++;
      throw refuse('access_token_missing');
    }
    if (world.refusesAll || !isGood(authorization)) {
      refused++;
      throw refuse('access_token_expired');
    }
  };
  const isGood = (authorization: string | null | undefined) => good.has(authorization?.replace('Bearer ', '') ?? '');
  const router = createRouter(check, ran, () => world.expire());

  // Not passed to the Request, which would listen to the signal for as long as it lives.
  async function send(input: string | URL | Request, { signal, ...init }: RequestInit = {}): Promise<Response> {
    signal?.throwIfAborted();
    const request = new Request(input, init);
    const { url } = request;
    const entry: Sent = { url, refused: 0, aborted: false };
    sent.push(entry);
    if (sent.length > LOOP) return new Promise(() => {});
    const authorization = request.headers.get('authorization') ?? undefined;
    const onAbort = () => (entry.aborted = true);
    signal?.addEventListener('abort', onAbort);
    try {
      await abortable(world.holdRequest?.(url, isGood(authorization)), signal);
      if (world.loses?.(url, isGood(authorization))) throw new TypeError('fetch failed');
      const before = refused;
      const response = await fetchRequestHandler({
        endpoint: '/trpc',
        req: request,
        router,
        createContext() {
          if (world.contextRefuses) check(authorization);
          return { authorization };
        },
      });
      entry.refused = refused - before;
      await abortable(world.holdAnswer?.(url), signal);
      return response;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Not async: a bug in an app may throw synchronously. */
  function refresh(init?: { signal?: AbortSignal }): Promise<Response> {
    if (++refreshes > LOOP) return new Promise(() => {});
    if (world.answer === 'throws') throw new Error('a bug in the app');
    return answerRefresh(init?.signal);
  }

  async function answerRefresh(signal: AbortSignal | undefined): Promise<Response> {
    const { answer } = world;
    if (answer === 'never') await abortable(new Promise(() => {}), signal);
    await abortable(world.hold ?? Promise.resolve(), signal);
    switch (answer) {
      case 'no network':
        throw new TypeError('fetch failed');
      case 'ended':
        return Response.json({ reason: 'expired' }, { status: 401 });
      case 'busy':
        return Response.json({}, { status: 503, headers: { 'retry-after': '1' } });
      case 'nonsense':
        return new Response('<html>');
      default:
        return Response.json(world.issue());
    }
  }

  return world;
}
export type World = ReturnType<typeof createWorld>;

async function abortable(work: Promise<unknown> | undefined, signal: AbortSignal | null | undefined): Promise<void> {
  if (!work) return;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal?.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort);
  await Promise.race([work, promise]);
}
