import { clientNetwork } from '../auth/limits/client-network.ts';
import { accountKey } from '../auth/limits/throttle.ts';
import { passwordResetLink, requireMail } from '../auth/mailed-links.ts';
import { toUser } from '../auth/store/auth-store.ts';
import { newMail } from '../mail/mails.ts';
import { fail, type Context } from '../trpc.ts';

const HOUR_SECONDS = 60 * 60;

/** docs/security.md explains each. */
export const RESET_LIMITS = {
  resetByAddress: { points: 60, durationSeconds: HOUR_SECONDS },
  resetByAccount: { points: 5, durationSeconds: HOUR_SECONDS },
  resetByLink: { points: 20, durationSeconds: HOUR_SECONDS },
};

/**
 * Mails a link to the owner of the email, if there is one. It replaces the one before.
 * @throws FailureError after too many requests from the network, or where no mail is sent
 */
export async function requestPasswordReset(ctx: Context, email: string): Promise<void> {
  const { req, services } = ctx;
  const { limiter, links, findAccountByEmail, createLink, audit } = services;
  await requireMail(ctx);
  const byAddress = await limiter('resetByAddress', RESET_LIMITS.resetByAddress)(clientNetwork(req));
  if (byAddress !== undefined) return fail(ctx, byAddress);
  // Not told, so that nobody can find out whether others have asked. The last link sent works longer than this limit lasts, so
  // using it up does not keep the owner out.
  const byAccount = await limiter('resetByAccount', RESET_LIMITS.resetByAccount)(accountKey(email));
  if (byAccount !== undefined) return;
  const account = await findAccountByEmail(email);
  const owner = account?.disabledAt === null ? account : undefined;
  const { newLink, mails } = passwordResetLink(links, owner && toUser(owner));
  // The same work for anybody, and so is the audit: the time must not tell whether there is an account. See bench/parts/resets.ts.
  await createLink(newLink, mails);
  await audit.record(req, { type: 'password_reset_requested', userId: account?.id, detail: accountKey(email) });
}

/**
 * Uses up a link. Every session ends, and nobody is signed in: that is left to the one door, with all that guards it.
 * @throws FailureError if the link is invalid, or the password is refused, which does not use the link up
 */
export async function completePasswordReset(ctx: Context, token: string, password: string): Promise<void> {
  const { req, services } = ctx;
  const { limiter, links, accounts, findAccount, changeAccount, throttle, devices, clock, audit } = services;
  const link = await links.find('password-reset', token);
  const account = link && (await findAccount(link.userId));
  // Asked before the password is hashed, and again when everything changes.
  if (link === undefined || account === undefined || account.email !== link.data.email || account.disabledAt !== null)
    return fail(ctx, { kind: 'failed', failure: { code: 'link_invalid' } });
  const limited = await limiter('resetByLink', RESET_LIMITS.resetByLink)(link.id);
  if (limited !== undefined) return fail(ctx, limited);
  const prepared = await accounts.preparePassword(password, account, clientNetwork(req));
  if (prepared.kind === 'failed') return fail(ctx, prepared);
  const now = clock();
  const { kind } = await changeAccount({
    userId: account.id,
    now,
    link: link.id,
    expected: { email: account.email, disabledAt: null },
    // The link was read in the mail, which is what verifying proves.
    set: { ...prepared.set, emailVerifiedAt: account.emailVerifiedAt ?? now },
    endSessions: {},
    revokeLinks: ['email-change', 'email-verification'],
    mails: [newMail('password-changed', { ...toUser(account), emailVerified: true }, {})],
  });
  if (kind !== 'changed') return fail(ctx, { kind: 'failed', failure: { code: 'link_invalid' } });
  await throttle.forgetFailures({ email: account.email, knownDevice: devices.idFor(req, account.email) });
  await audit.record(req, { type: 'password_reset', userId: account.id });
}
