import { clientNetwork } from '../auth/limits/client-network.ts';
import { requireMail, verificationLink } from '../auth/mailed-links.ts';
import { completeRegistration } from '../auth/registration.ts';
import { fail, type Context, type ProtectedContext } from '../trpc.ts';

const HOUR_SECONDS = 60 * 60;

/** docs/security.md explains each. */
export const VERIFICATION_LIMITS = {
  verificationByAddress: { points: 60, durationSeconds: HOUR_SECONDS },
  verificationByAccount: { points: 5, durationSeconds: HOUR_SECONDS },
};

/**
 * Mails the caller a link that verifies their email. It replaces the one before. Nothing is sent if the email is verified.
 * @throws FailureError if the caller, or their network, has asked too often, or where no mail is sent
 */
export async function sendVerification(ctx: ProtectedContext): Promise<void> {
  const { req, services, user } = ctx;
  const { limiter, links, changeAccount, clock } = services;
  await requireMail(ctx);
  if (user.emailVerified) return;
  const { verificationByAddress, verificationByAccount } = VERIFICATION_LIMITS;
  const limited =
    (await limiter('verificationByAddress', verificationByAddress)(clientNetwork(req))) ??
    (await limiter('verificationByAccount', verificationByAccount)(user.id));
  if (limited !== undefined) return fail(ctx, limited);
  // Where the email has changed meanwhile, that has verified the new one, and there is nothing to send.
  const expected = { email: user.email };
  await changeAccount({ userId: user.id, now: clock(), expected, ...verificationLink(links, user) });
}

/**
 * Uses up a link, which may also be that of a registration, whose account it creates. It verifies the email that it was sent
 * to, so it is void once the account has another.
 * @throws FailureError if the link is invalid, or the username of the new account has been taken since
 */
export async function verifyEmail(ctx: Context, token: string): Promise<void> {
  const { req, services } = ctx;
  const { links, changeAccount, clock, audit } = services;
  const registration = await links.find('registration', token);
  if (registration !== undefined) return completeRegistration(ctx, registration);
  const link = await links.find('email-verification', token);
  if (link === undefined) return fail(ctx, { kind: 'failed', failure: { code: 'link_invalid' } });
  const now = clock();
  const { kind } = await changeAccount({
    userId: link.userId,
    now,
    link: link.id,
    expected: { email: link.data.email, disabledAt: null },
    set: { emailVerifiedAt: now },
  });
  if (kind !== 'changed') return fail(ctx, { kind: 'failed', failure: { code: 'link_invalid' } });
  await audit.record(req, { type: 'email_verified', userId: link.userId });
}
