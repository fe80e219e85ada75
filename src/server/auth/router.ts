import type { Request } from 'express';
import { loginInput, registerInput } from '../../shared/auth.ts';
import { Refusal } from '../failure.ts';
import { protectedProcedure, publicProcedure, router, type Context } from '../trpc.ts';
import type { Device, Failed, Issued } from './sessions.ts';
import { signIn, type Proof } from './sign-in.ts';

/** For procedures that touch the cookie: two of them in one request would race for it, and a stream has sent its headers. */
const cookieProcedure = publicProcedure.meta({ alone: true });

export const authRouter = router({
  register: cookieProcedure
    .input(registerInput)
    .mutation(async ({ ctx, input }) => admit(ctx, await ctx.services.accounts.create(input))),

  login: cookieProcedure
    .input(loginInput)
    .mutation(async ({ ctx, input }) => admit(ctx, await ctx.services.accounts.checkPassword(input))),

  refresh: cookieProcedure.mutation(async ({ ctx }) => {
    const cookie = ctx.services.cookies.read(ctx.req);
    if (cookie.kind !== 'one')
      throw new Refusal({ code: 'session_ended', reason: cookie.kind === 'none' ? 'none' : 'invalid' });
    return grant(ctx, await ctx.services.sessions.refresh(cookie.token));
  }),

  logout: cookieProcedure.mutation(async ({ ctx }) => {
    await ctx.services.sessions.end(refreshToken(ctx), ctx.accessToken);
    // After the session has ended in the database: if that fails, the cookie is still there to try again with.
    ctx.services.cookies.clear(ctx.res);
    return null;
  }),

  me: protectedProcedure.query(({ ctx }) => ctx.user),
});

/** Through the one door, and out with a grant and the cookie. */
async function admit(ctx: Context, proof: Proof) {
  const options = { device: deviceOf(ctx.req), refreshToken: refreshToken(ctx) };
  return grant(ctx, await signIn(ctx.services.sessions, proof, options));
}

/** Only a success sets the cookie. A refusal leaves it: its late answer could delete that of a login made meanwhile. */
function grant(ctx: Context, issued: Issued | Failed) {
  if ('failure' in issued) throw new Refusal(issued.failure);
  if (issued.cookie !== undefined) ctx.services.cookies.set(ctx.res, issued.cookie);
  return issued.grant;
}

function refreshToken(ctx: Context): string | undefined {
  const cookie = ctx.services.cookies.read(ctx.req);
  return cookie.kind === 'one' ? cookie.token : undefined;
}

const deviceOf = (req: Request): Device => ({ userAgent: req.get('user-agent'), ip: req.ip });
