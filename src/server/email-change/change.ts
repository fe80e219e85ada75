import { clientNetwork } from '../auth/limits/client-network.ts';
import { accountKey } from '../auth/limits/throttle.ts';
import { requireMail } from '../auth/mailed-links.ts';
import { changeOwnAccount } from '../auth/own-account.ts';
import { toUser } from '../auth/store/auth-store.ts';
import { newMail } from '../mail/mails.ts';
import { fail, type Context, type ProtectedContext } from '../trpc.ts';

const HOUR_SECONDS = 60 * 60;

/** docs/security.md explains each. */
export const EMAIL_CHANGE_LIMITS = {
  emailChangeByAddress: { points: 60, durationSeconds: HOUR_SECONDS },
  emailChangeByAccount: { points: 5, durationSeconds: HOUR_SECONDS },
  emailChangeByEmail: { points: 5, durationSeconds: HOUR_SECONDS },
};

/**
 * Mails a link to the new email, which changes nothing until it is used there. It replaces the one before.
 * @throws FailureError if it is the email of the caller, or of somebody else where the settings allow to say so, or after too
 *   many requests by the caller, from their network, or for this email, or where no mail is sent
 */
export async function requestEmailChange(ctx: ProtectedContext, email: string): Promise<void> {
  const { req, services, user, session } = ctx;
  const { limiter, links, settings, findAccountByEmail, audit } = services;
  await requireMail(ctx);
  if (email === user.email) {
    const fields = { email: ['This is your email already.'] };
    return fail(ctx, { kind: 'failed', failure: { code: 'invalid_input', fields } });
  }
  const { emailChangeByAddress, emailChangeByAccount, emailChangeByEmail } = EMAIL_CHANGE_LIMITS;
  const limited =
    (await limiter('emailChangeByAddress', emailChangeByAddress)(clientNetwork(req))) ??
    (await limiter('emailChangeByAccount', emailChangeByAccount)(user.id)) ??
    (await limiter('emailChangeByEmail', emailChangeByEmail)(accountKey(email)));
  if (limited !== undefined) return fail(ctx, limited);

  const owner = await findAccountByEmail(email);
  if (owner !== undefined && settings.registrationRevealsEmail)
    return fail(ctx, { kind: 'failed', failure: { code: 'email_taken' } });
  const newLink = links.create('email-change', user.id, { email, from: user.email });
  // With an owner, the same happens, so that nothing tells that there is one; but nobody ever gets this link.
  const mail =
    owner === undefined
      ? newMail('confirm-email', { ...user, email, emailVerified: false }, {}, newLink.id)
      : newMail('already-registered', toUser(owner), {});
  await changeOwnAccount(ctx, { expected: { email: user.email }, newLink, mails: [mail] });
  const event = { userId: user.id, sessionId: session.id, detail: accountKey(email) };
  await audit.record(req, { type: 'email_change_requested', ...event });
}

/**
 * Uses up a link, and tells the old email. The links that the old one could still use stop working; sessions go on.
 * @throws FailureError if the link is invalid, or if the email has been taken since
 */
export async function confirmEmailChange(ctx: Context, token: string): Promise<void> {
  const { req, services } = ctx;
  const { links, findAccount, changeAccount, clock, audit } = services;
  const link = await links.find('email-change', token);
  const account = link && (await findAccount(link.userId));
  if (link === undefined || account === undefined)
    return fail(ctx, { kind: 'failed', failure: { code: 'link_invalid' } });
  const { email, from } = link.data;
  const old = { ...toUser(account), email: from };
  const now = clock();
  const { kind } = await changeAccount({
    userId: account.id,
    now,
    link: link.id,
    expected: { email: from, disabledAt: null },
    set: { email, emailVerifiedAt: now },
    revokeLinks: ['password-reset', 'email-verification'],
    mails: [newMail('email-changed', old, { newEmail: old.emailVerified ? email : '' })],
  });
  if (kind !== 'changed') {
    const code = kind === 'email_taken' ? kind : 'link_invalid';
    return fail(ctx, { kind: 'failed', failure: { code } });
  }
  await audit.record(req, {
    type: 'email_changed',
    userId: account.id,
    detail: `${accountKey(from)} → ${accountKey(email)}`,
  });
}
