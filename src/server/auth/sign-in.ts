import type { Grant, User } from '../../shared/auth.ts';
import { fail, type Context } from '../trpc.ts';
import { clientAddress } from './limits/client-network.ts';
import { accountKey } from './limits/throttle.ts';
import type { Failed, Issued } from './sessions/sessions.ts';
import { toUser, type Account } from './store/auth-store.ts';

/** The outcome of an attempt to prove who one is, by whatever means: a password, a mailed link, a passkey. */
export type Proof =
  | { kind: 'user'; user: User }
  /** Created together with its first session: both or neither. */
  | { kind: 'new-account'; account: Account }
  /** `email`: the account that the attempt was for, if it named one. */
  | (Failed & { email?: string });

/**
 * Does everything that follows a proof: starts the session, ends the one that the browser was in, sets the cookie, marks the
 * device as known, and records it in the audit. Every way to sign in ends here. Call it from a `cookieProcedure` only.
 * @returns the procedure's answer
 * @throws FailureError if the proof failed, or if the new account's username or email is taken
 */
export async function signIn(ctx: Context, proof: Proof): Promise<Grant> {
  const { req, res, services } = ctx;
  const { sessions, devices, audit } = services;
  if (proof.kind === 'failed') {
    if (proof.failure.code === 'invalid_credentials')
      await audit.record(req, {
        type: 'sign_in_failed',
        detail: proof.email === undefined ? undefined : accountKey(proof.email),
      });
    return fail(ctx, proof);
  }
  const isNew = proof.kind === 'new-account';
  const user = isNew ? toUser(proof.account) : proof.user;
  const issued = await sessions.start({
    user,
    newAccount: isNew ? proof.account : undefined,
    device: { userAgent: req.get('user-agent'), ip: clientAddress(req) },
    replacing: refreshTokenOf(ctx),
  });
  if (issued.kind === 'failed') return fail(ctx, issued);
  const sessionId = issued.grant.session.id;
  await audit.record(req, { type: isNew ? 'registered' : 'signed_in', userId: user.id, sessionId });
  if (issued.replaced !== undefined) await audit.record(req, { type: 'ended', ...issued.replaced });
  const grant = deliver(ctx, issued);
  // After the refresh cookie: a simple client may look at the first `Set-Cookie` only.
  devices.remember(req, res, user.email);
  return grant;
}

/**
 * Sets the cookie and returns the grant. Only a success touches the cookie: the late answer of a refused refresh could
 * otherwise clear the cookie of a login made meanwhile in another tab.
 */
export function deliver(ctx: Context, { grant, cookie }: Issued): Grant {
  if (cookie !== undefined) ctx.services.cookie.set(ctx.res, cookie.token, cookie.lifetime);
  return grant;
}

/** The refresh token that the request carries; undefined if it carries none or several. */
export function refreshTokenOf(ctx: Context): string | undefined {
  const carried = ctx.services.cookie.read(ctx.req);
  return carried.kind === 'one' ? carried.token : undefined;
}
