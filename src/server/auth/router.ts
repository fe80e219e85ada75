import { z } from 'zod';
import { loginInput, reauthenticateInput, registerInput } from '../../shared/auth.ts';
import { cookieProcedure, fail, protectedProcedure, router } from '../trpc.ts';
import { clientNetwork } from './limits/client-network.ts';
import { accountKey } from './limits/throttle.ts';
import { mailRegistration } from './registration.ts';
import { sessionEvents } from './sessions/events.ts';
import type { Failed } from './sessions/sessions.ts';
import { deliver, refreshTokenOf, signIn } from './sign-in.ts';

const noSession = (reason: 'none' | 'invalid'): Failed => ({
  kind: 'failed',
  failure: { code: 'session_ended', reason },
});

export const authRouter = router({
  /** `null` where the settings hide which emails have accounts: then a mail says how to go on. */
  register: cookieProcedure.input(registerInput).mutation(async ({ ctx, input }) => {
    const { settings, throttle, accounts } = ctx.services;
    const network = clientNetwork(ctx.req);
    const proof = (await throttle.register(network)) ?? (await accounts.prepare(input, network));
    if (proof.kind === 'failed') return signIn(ctx, proof);
    // Even where accounts are deleted again: each sends mail to an email that may be that of a stranger.
    const limited = await throttle.registrationMail(accountKey(input.email));
    if (settings.registrationRevealsEmail) return signIn(ctx, limited ?? proof);
    // Not told, or whoever has registered would be found out.
    if (limited === undefined) await mailRegistration(ctx, proof.account);
    return null;
  }),

  login: cookieProcedure.input(loginInput).mutation(async ({ ctx, input }) => {
    const { throttle, accounts, devices } = ctx.services;
    const { email } = input;
    const network = clientNetwork(ctx.req);
    const guess = { email, network, knownDevice: devices.idFor(ctx.req, email) };
    const proof = await throttle.guess(guess, () => accounts.checkPassword(input, network));
    return signIn(ctx, proof, input.remember);
  }),

  /** Proves again who is there, for the calls of `sudoProcedure`. Guessing is limited like a login. */
  reauthenticate: protectedProcedure.input(reauthenticateInput).mutation(async ({ ctx, input: { password } }) => {
    const { throttle, accounts, devices, sessions, audit } = ctx.services;
    const { email } = ctx.user;
    const network = clientNetwork(ctx.req);
    const guess = { email, network, knownDevice: devices.idFor(ctx.req, email) };
    const proof = await throttle.guess(guess, async () => {
      const checked = await accounts.checkPassword({ email, password }, network);
      // The email may have come to belong to somebody else since the call was authenticated.
      const isCaller = checked.kind === 'failed' || checked.account.id === ctx.user.id;
      return isCaller ? checked : { kind: 'failed', failure: { code: 'invalid_credentials' } };
    });
    const event = { userId: ctx.user.id, sessionId: ctx.session.id };
    if (proof.kind === 'failed') {
      if (proof.failure.code === 'invalid_credentials')
        await audit.record(ctx.req, { type: 'reauthentication_failed', ...event });
      return fail(ctx, proof);
    }
    await sessions.reauthenticated(ctx.session.id);
    await audit.record(ctx.req, { type: 'reauthenticated', ...event });
    return null;
  }),

  refresh: cookieProcedure.mutation(async ({ ctx }) => {
    const { throttle, sessions, cookie } = ctx.services;
    const carried = cookie.read(ctx.req);
    const issued =
      carried.kind === 'one'
        ? await sessions.refresh(carried.token, throttle.refreshBySession)
        : noSession(carried.kind === 'none' ? 'none' : 'invalid');
    if (issued.kind === 'issued') return deliver(ctx, issued);
    // Reuse is recorded even if the call is rate-limited.
    return fail(ctx, { ...issued, ...(await throttle.refreshRefused(clientNetwork(ctx.req))) });
  }),

  logout: cookieProcedure.mutation(async ({ ctx }) => {
    const { throttle, sessions, cookie, audit } = ctx.services;
    const session = sessions.identify(refreshTokenOf(ctx), ctx.accessToken);
    // By session where possible, so that others behind the same address cannot keep anyone from logging out.
    const limited =
      session === undefined
        ? await throttle.logoutWithoutSession(clientNetwork(ctx.req))
        : await throttle.logoutBySession(session.sessionId);
    if (limited !== undefined) return fail(ctx, limited);
    const ended = session !== undefined && (await sessions.end(session));
    // Last: a client whose logout failed needs the cookie to try again.
    cookie.clear(ctx.res);
    if (ended) await audit.record(ctx.req, { type: 'signed_out', ...session });
    return null;
  }),

  me: protectedProcedure.query(({ ctx }) => ctx.user),

  sessionEvents: protectedProcedure
    .input(z.strictObject({ lastEventId: z.string().max(64).optional() }).optional())
    .subscription(({ ctx, input, signal }) => sessionEvents(ctx, input?.lastEventId, signal)),
});
