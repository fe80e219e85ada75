import type { Request } from 'express';
import { z } from 'zod';
import { loginInput, registerInput } from '../../shared/auth.ts';
import { protectedProcedure, publicProcedure, refuse, router, type Context } from '../trpc.ts';
import { networkOf } from './limits/client-network.ts';
import { sessionEvents } from './sessions/events.ts';
import type { Device, Failed, Issued } from './sessions/sessions.ts';
import { signIn, type Proof } from './sign-in.ts';
import { identifierOf } from './limits/throttle.ts';

/** For procedures that touch the cookie: two of them in one request would race for it, and a stream has sent its headers. */
const cookieProcedure = publicProcedure.meta({ alone: true });

export const authRouter = router({
  register: cookieProcedure.input(registerInput).mutation(async ({ ctx, input }) => {
    const { throttle, accounts } = ctx.services;
    const network = networkOf(ctx.req.ip);
    const proof = (await throttle.register(network)) ?? (await accounts.prepare(input, network));
    return admit(ctx, 'registered', input.email, proof);
  }),

  login: cookieProcedure.input(loginInput).mutation(async ({ ctx, input }) => {
    const { throttle, accounts, devices } = ctx.services;
    const { email } = input;
    const network = networkOf(ctx.req.ip);
    const guess = { email, network, knownDevice: devices.idFor(ctx.req, email) };
    return admit(ctx, 'signed_in', email, await throttle.guess(guess, () => accounts.checkPassword(input, network)));
  }),

  refresh: cookieProcedure.mutation(async ({ ctx }) => {
    const { throttle, sessions, cookie } = ctx.services;
    const carried = cookie.read(ctx.req);
    const issued: Issued | Failed =
      carried.kind === 'one'
        ? await sessions.refresh(carried.token, throttle.refreshBySession)
        : { failure: { code: 'session_ended', reason: carried.kind === 'none' ? 'none' : 'invalid' } };
    if (!('failure' in issued)) return grant(ctx, issued);
    return refuse(ctx, (await throttle.refreshRefused(networkOf(ctx.req.ip))) ?? issued);
  }),

  logout: cookieProcedure.mutation(async ({ ctx }) => {
    const { throttle, sessions, cookie, audit } = ctx.services;
    const session = sessions.named(refreshToken(ctx), ctx.accessToken);
    // Whoever has a session to end is not kept from it by what others do behind the same address.
    const limited =
      session === undefined
        ? await throttle.logoutOfNone(networkOf(ctx.req.ip))
        : await throttle.logoutBySession(session.sessionId);
    if (limited !== undefined) return refuse(ctx, limited);
    const ended = session !== undefined && (await sessions.end(session));
    // After the session has ended in the database: if that fails, the cookie is still there to try again with.
    cookie.clear(ctx.res);
    if (ended) await audit.record(ctx.req, { type: 'signed_out', ...session });
    return null;
  }),

  me: protectedProcedure.query(({ ctx }) => ctx.user),

  sessionEvents: protectedProcedure
    .input(z.strictObject({ lastEventId: z.string().max(64).optional() }).optional())
    .subscription(({ ctx, input, signal }) => sessionEvents(ctx, input?.lastEventId, signal)),
});

/** Through the one door, and out with a grant and the cookies. */
async function admit(ctx: Context, type: 'registered' | 'signed_in', email: string, proof: Proof) {
  const { sessions, devices, audit } = ctx.services;
  const issued = await signIn(sessions, proof, { device: deviceOf(ctx.req), refreshToken: refreshToken(ctx) });
  if ('failure' in issued) {
    if (issued.failure.code === 'invalid_credentials')
      await audit.record(ctx.req, { type: 'sign_in_failed', detail: identifierOf(email) });
    return refuse(ctx, issued);
  }
  const { replaced, grant: granted } = issued;
  await audit.record(ctx.req, { type, userId: granted.user.id, sessionId: granted.session.id });
  if (replaced !== undefined) await audit.record(ctx.req, { type: 'ended', ...replaced });
  const answer = grant(ctx, issued);
  // Behind the refresh cookie, which is the one that clients without a browser look for.
  devices.remember(ctx.req, ctx.res, email);
  return answer;
}

/** Only a success sets the cookie. A refusal leaves it: its late answer could delete that of a login made meanwhile. */
function grant(ctx: Context, { grant: granted, cookie }: Issued) {
  if (cookie !== undefined) ctx.services.cookie.set(ctx.res, cookie.token, cookie.lifetime);
  return granted;
}

function refreshToken(ctx: Context): string | undefined {
  const carried = ctx.services.cookie.read(ctx.req);
  return carried.kind === 'one' ? carried.token : undefined;
}

const deviceOf = (req: Request): Device => ({ userAgent: req.get('user-agent'), ip: req.ip });
