import type { Grant, User } from '../../shared/auth.ts';
import { fail, type Context } from '../trpc.ts';
import { clientAddress } from './limits/client-network.ts';
import { accountKey } from './limits/throttle.ts';
import type { Failed, Issued } from './sessions/sessions.ts';
import { toUser, type Account } from './store/auth-store.ts';

/** The outcome of an attempt to prove an identity, with a password, an emailed link, a passkey… */
export type Proof =
  | { kind: 'user'; user: User }
  | { kind: 'new-account'; account: Account }
  | (Failed & { email?: string });

/**
 * The single entry point for every way to sign in: starts the session, ends the one the browser was in, sets the
 * cookie, marks the device as known, and writes the audit. Call it only from a `cookieProcedure`.
 * @returns the answer of the procedure
 * @throws FailureError if the proof failed, or the username or email of the new account is taken
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
  // After the refresh cookie: a simple client may read only the first `Set-Cookie`.
  devices.remember(req, res, user.email);
  return grant;
}

/**
 * Sets the cookie and returns the grant. A failure never touches the cookie: a late refusal could otherwise clear the
 * cookie of a newer login in another tab.
 */
export function deliver(ctx: Context, { grant, cookie }: Issued): Grant {
  if (cookie !== undefined) ctx.services.cookie.set(ctx.res, cookie.token, cookie.lifetime);
  return grant;
}

export function refreshTokenOf(ctx: Context): string | undefined {
  const carried = ctx.services.cookie.read(ctx.req);
  return carried.kind === 'one' ? carried.token : undefined;
}
