import { initTRPC } from '@trpc/server';
import type { CreateExpressContextOptions } from '@trpc/server/adapters/express';
import type { Principal, Failed } from './auth/sessions/sessions.ts';
import { failureFor, Refusal, refusalFor } from './errors.ts';
import { requestIdOf } from './http/request-log.ts';
import type { Services } from './services.ts';

/** What every procedure finds in `ctx`. */
export interface Context {
  req: CreateExpressContextOptions['req'];
  res: CreateExpressContextOptions['res'];
  services: Services;
  /** The access token as sent; undefined without an `Authorization` header, '' where that is not a Bearer token. */
  accessToken: string | undefined;
  /** Who calls, found out once a request however many calls are in it. */
  principal: () => Promise<Principal | Failed>;
}

export function createContext(
  { req, res }: Pick<CreateExpressContextOptions, 'req' | 'res'>,
  services: Services,
): Context {
  const accessToken = bearerToken(req.headers.authorization);
  let principal: Promise<Principal | Failed> | undefined;
  return {
    req,
    res,
    services,
    accessToken,
    principal: () => (principal ??= services.sessions.recognize(accessToken ?? '')),
  };
}

/** RFC 6750, section 2.1; the scheme's case does not matter (RFC 9110, section 11.1). */
function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  return /^Bearer ([\w.-]+)$/i.exec(header)?.[1] ?? '';
}

/** In milliseconds. */
const SSE_PING = 10_000;
/** Two pings missed, and a little. In milliseconds. */
const SSE_INACTIVITY = 25_000;

/** `alone`: the procedure touches the cookie, so it takes no company in a batch and is never streamed. */
export interface Meta {
  alone?: boolean;
}

const t = initTRPC
  .context<Context>()
  .meta<Meta>()
  .create({
    // Explicitly: the default looks at NODE_ENV, and one forgotten variable would send stack traces to everybody.
    isDev: false,
    sse: {
      // A line that says nothing now and then: it keeps proxies from closing the stream, and tells either side that the
      // other is gone.
      ping: { enabled: true, intervalMs: SSE_PING },
      client: { reconnectAfterInactivityMs: SSE_INACTIVITY },
    },
    errorFormatter({ shape, error, ctx }) {
      const failure = failureFor(error);
      const surprise = failure === undefined && error.code === 'INTERNAL_SERVER_ERROR';
      // What a surprise has to say may quote a query or a path: it goes to the log, under the request's id.
      const hidden = surprise && ctx?.services.settings.production !== false;
      return {
        ...shape,
        message: failure?.code ?? (hidden ? 'INTERNAL_SERVER_ERROR' : shape.message),
        data: { ...shape.data, failure, requestId: surprise ? requestIdOf(ctx?.res) : undefined },
      };
    },
  });

export const router = t.router;

/**
 * Answers a call with its failure, and notes what an operator wants to know of it.
 * @throws always
 */
export async function refuse(ctx: Context, { failure, reused }: Failed): Promise<never> {
  const { audit } = ctx.services;
  if (reused !== undefined) await audit.record(ctx.req, { type: 'reused', ...reused });
  if (failure.code === 'rate_limited') await audit.record(ctx.req, { type: 'limited' });
  throw new Refusal(failure);
}

/** For everybody. */
export const publicProcedure = t.procedure.use(async ({ next }) => {
  const result = await next();
  const refusal = result.ok ? undefined : refusalFor(result.error.cause);
  if (refusal !== undefined) throw refusal;
  return result;
});

/** For people who are logged in: `ctx.user` and `ctx.session` are theirs. */
export const protectedProcedure = publicProcedure.use(async ({ ctx, next }) => {
  if (ctx.accessToken === undefined) throw new Refusal({ code: 'access_token_missing' });
  const principal = await ctx.principal();
  if ('failure' in principal) return refuse(ctx, principal);
  return next({ ctx: principal });
});
