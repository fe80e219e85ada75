import { initTRPC, type TRPCError } from '@trpc/server';
import type { CreateExpressContextOptions } from '@trpc/server/adapters/express';
import type { Role } from '../shared/auth.ts';
import type { Authenticated, Failed } from './auth/sessions/sessions.ts';
import { databaseFailure, failureFor, FailureError } from './errors.ts';
import { requestIdOf } from './http/request-log.ts';
import type { Services } from './services.ts';

export interface Context {
  req: CreateExpressContextOptions['req'];
  res: CreateExpressContextOptions['res'];
  services: Services;
  /** Undefined without an `Authorization` header; empty if the header is not a Bearer token. */
  accessToken: string | undefined;
  /** Runs once per request, however many calls the batch contains. */
  authenticate: () => Promise<Authenticated | Failed>;
}

export function createContext(
  { req, res }: Pick<CreateExpressContextOptions, 'req' | 'res'>,
  services: Services,
): Context {
  const accessToken = bearerToken(req.headers.authorization);
  let authentication: Promise<Authenticated | Failed> | undefined;

  async function authenticate(): Promise<Authenticated | Failed> {
    const caller = await services.sessions.authenticate(accessToken ?? '');
    if (caller.kind !== 'failed' || caller.reused === undefined) return caller;
    // Not left to `fail`: every call of a batch fails for this one event.
    await services.audit.record(req, { type: 'reused', ...caller.reused });
    return { kind: 'failed', failure: caller.failure };
  }

  return {
    req,
    res,
    services,
    accessToken,
    authenticate: () => (authentication ??= authenticate()),
  };
}

/** RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1). */
function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  return /^Bearer ([\w.-]+)$/i.exec(header)?.[1] ?? '';
}

const SSE_PING_INTERVAL_MS = 25_000;
/** Two missed pings, plus some margin. */
const SSE_INACTIVITY_TIMEOUT_MS = 55_000;

/** `alone`: sets or clears a cookie, so it is refused in a batch or a stream. See http/request-guard.ts. */
export interface Meta {
  alone?: boolean;
}

const t = initTRPC
  .context<Context>()
  .meta<Meta>()
  .create({
    // The default follows NODE_ENV: forgetting one variable would expose stack traces.
    isDev: false,
    sse: {
      // Keeps proxies from closing idle streams, and lets each side notice that the other is gone.
      ping: { enabled: true, intervalMs: SSE_PING_INTERVAL_MS },
      client: { reconnectAfterInactivityMs: SSE_INACTIVITY_TIMEOUT_MS },
    },
    errorFormatter({ shape, error, ctx }) {
      const failure = failureFor(error);
      const unexpected = failure === undefined && error.code === 'INTERNAL_SERVER_ERROR';
      // It may quote a query or a path. The log has it, under the request ID.
      const hidden = unexpected && ctx?.services.settings.production !== false;
      return {
        ...shape,
        message: failure?.code ?? (hidden ? 'INTERNAL_SERVER_ERROR' : shape.message),
        data: { ...shape.data, failure, requestId: unexpected ? requestIdOf(ctx?.res) : undefined },
      };
    },
  });

export const router = t.router;

/** Records in the audit what an operator should know. @throws FailureError always */
export async function fail(ctx: Context, { failure, reused }: Failed): Promise<never> {
  const { audit } = ctx.services;
  if (reused !== undefined) await audit.record(ctx.req, { type: 'reused', ...reused });
  if (failure.code === 'rate_limited') await audit.record(ctx.req, { type: 'limited' });
  throw new FailureError(failure);
}

function rethrow(error: unknown): never {
  throw databaseFailure(error) ?? error;
}

export const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

/** @throws FailureError if the database is to blame for the error that a call, or later its stream, ends with */
function checked<Result extends { ok: true; data: unknown } | { ok: false; error: TRPCError }>(result: Result) {
  if (!result.ok) return rethrow(result.error);
  return isAsyncIterable(result.data) ? { ...result, data: checkedStream(result.data) } : result;
}

async function* checkedStream(stream: AsyncIterable<unknown>) {
  try {
    yield* stream;
  } catch (error) {
    rethrow(error);
  }
}

export const publicProcedure = t.procedure.use(async ({ next }) => checked(await next()));

/** For procedures that set or clear the cookie, such as every way to sign in. Never batched or streamed. */
export const cookieProcedure = publicProcedure.meta({ alone: true });

/**
 * Requires a session: sets `ctx.user` and `ctx.session`. A single middleware, not chained after that of
 * `publicProcedure`, because each one costs tRPC as much as reading a row.
 */
export const protectedProcedure = t.procedure.use(async ({ ctx, next }) => {
  if (ctx.accessToken === undefined) throw new FailureError({ code: 'access_token_missing' });
  const caller = await ctx.authenticate().catch(rethrow);
  if (caller.kind === 'failed') return fail(ctx, caller);
  return checked(await next({ ctx: { user: caller.user, session: caller.session } }));
});

/** What the procedures of a session work with. */
export type ProtectedContext = Context & Pick<Authenticated, 'user' | 'session'>;

/** How long proving who one is lasts. */
const SUDO_LIFETIME_MS = 10 * 60_000;

function requireSudo({ services, session }: { services: Services; session: { authenticatedAt: number } }): void {
  if (services.clock() - session.authenticatedAt > SUDO_LIFETIME_MS)
    throw new FailureError({ code: 'reauthentication_required' });
}

/**
 * For what a stolen session must not do, such as changing the password: the person has proved who they are within the last 10
 * minutes. Otherwise the client asks for the password, and repeats the call by itself.
 */
export const sudoProcedure = protectedProcedure.use(({ ctx, next }) => {
  requireSudo(ctx);
  return next();
});

/** Requires one of these roles: `roleProcedure('editor', 'admin')`. Admins are not let in unless they are named. */
export const roleProcedure = (...allowed: [Role, ...Role[]]) =>
  protectedProcedure.use(({ ctx, next }) => {
    if (!allowed.includes(ctx.user.role)) throw new FailureError({ code: 'forbidden' });
    return next();
  });

export const adminProcedure = roleProcedure('admin');

/** For what an admin changes. */
export const adminSudoProcedure = adminProcedure.use(({ ctx, next }) => {
  requireSudo(ctx);
  return next();
});
