import type { Grant } from '../../shared/auth.ts';
import { newMail } from '../mail/mails.ts';
import { fail, type Context } from '../trpc.ts';
import { describeDevice } from './device.ts';
import { clientAddress } from './limits/client-network.ts';
import { accountKey } from './limits/throttle.ts';
import { verificationLink } from './mailed-links.ts';
import type { Device, Failed, Issued } from './sessions/sessions.ts';
import { toUser, type Account } from './store/auth-store.ts';

/** The outcome of an attempt to prove an identity, with a password, an emailed link, a passkey… */
export type Proof =
  | { kind: 'account'; account: Account }
  | { kind: 'new-account'; account: Account }
  | (Failed & { email?: string; userId?: string | undefined });

/**
 * The single entry point for every way to sign in: starts the session, ends the one the browser was in, sets the
 * cookie, marks the device as known, and writes the audit. Call it only from a `cookieProcedure`.
 * @param remember whether the session outlives the browser
 * @returns the answer of the procedure
 * @throws FailureError if the proof failed, the account is disabled, or the username or email of the new account is taken
 */
export async function signIn(ctx: Context, proof: Proof, remember = true): Promise<Grant> {
  const { req, res, services } = ctx;
  const { sessions, devices, audit } = services;
  const recordFailure = (userId: string | undefined, detail: string | undefined) =>
    audit.record(req, { type: 'sign_in_failed', userId, detail });
  if (proof.kind === 'failed') {
    if (proof.failure.code === 'invalid_credentials')
      await recordFailure(proof.userId, proof.email === undefined ? undefined : accountKey(proof.email));
    return fail(ctx, proof);
  }
  const { account } = proof;
  // Only after the proof: a stranger must not learn that there is such an account.
  if (account.disabledAt !== null) {
    await recordFailure(account.id, 'account_disabled');
    return fail(ctx, { kind: 'failed', failure: { code: 'account_disabled' } });
  }
  const device = { userAgent: req.get('user-agent'), ip: clientAddress(req) };
  const options = { account, remember, device, replacing: refreshTokenOf(ctx) };
  const isNew = proof.kind === 'new-account';
  const { link, mails } = await mailOf(ctx, proof, device);
  const issued = await sessions.start({ ...options, isNew, link, mails });
  if (issued.kind === 'failed') {
    // The account has been changed since the proof.
    if (!isNew) await recordFailure(account.id, accountKey(account.email));
    return fail(ctx, issued);
  }
  const sessionId = issued.grant.session.id;
  await audit.record(req, { type: isNew ? 'registered' : 'signed_in', userId: account.id, sessionId });
  if (issued.replaced !== undefined) await audit.record(req, { type: 'ended', ...issued.replaced });
  const grant = deliver(ctx, issued);
  // After the refresh cookie: a simple client may read only the first `Set-Cookie`.
  devices.remember(req, res, account.email);
  return grant;
}

/** The mail that a sign-in causes. No link either where no mail is sent: nobody would receive it. */
async function mailOf(ctx: Context, { kind, account }: Exclude<Proof, Failed>, device: Device) {
  const { settings, links } = ctx.services;
  if (settings.mail === undefined) return { link: undefined, mails: [] };
  if (kind !== 'new-account') return { link: undefined, mails: await newDeviceMails(ctx, account, device) };
  const { newLink: link, mails } = verificationLink(links, toUser(account));
  return { link, mails };
}

/** Tells the owner, unless the account is known in this browser. A client without cookies is a new device every time. */
async function newDeviceMails({ req, services }: Context, account: Account, { userAgent, ip }: Device) {
  const { devices, throttle } = services;
  if (devices.idFor(req, account.email) !== undefined) return [];
  if ((await throttle.newDeviceMail(account.id)) !== undefined) return [];
  return [newMail('new-device', toUser(account), { device: describeDevice(userAgent), ip: ip ?? 'unknown' })];
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
