import type { User } from '../../shared/auth.ts';
import { newMail } from '../mail/mails.ts';
import { fail, type Context } from '../trpc.ts';
import type { Links } from './links.ts';
import type { Account, AccountChange } from './store/auth-store.ts';

/** Without an address: not even a mistake sends anything. */
const NOBODY = { id: null, username: '', email: '', emailVerified: false };

type Owner = Pick<User, 'id' | 'username' | 'email' | 'emailVerified'>;
type MailedLink = Required<Pick<AccountChange, 'newLink' | 'mails'>>;

/** Call it before a mail is promised. @throws FailureError where none is sent */
export async function requireMail(ctx: Context): Promise<void> {
  if (ctx.services.settings.mail === undefined)
    await fail(ctx, { kind: 'failed', failure: { code: 'mail_not_configured' } });
}

/** A link that creates an account, and the mail that brings it to its email. */
export function registrationLink(links: Links, account: Account): MailedLink {
  const { username, email, passwordHash } = account;
  const newLink = links.create('registration', null, { username, email, passwordHash });
  return { newLink, mails: [newMail('verify-email', { ...NOBODY, username, email }, {}, newLink.id)] };
}

/** The mail to somebody who has an account already. There is no link in it, but one is written, which takes as long. */
export const alreadyRegistered = (links: Links, owner: Owner): MailedLink => ({
  newLink: links.decoy('registration'),
  mails: [newMail('already-registered', owner, {})],
});

/** A link that verifies the email of an account, and the mail that brings it there. */
export function verificationLink(links: Links, owner: Owner): MailedLink {
  const newLink = links.create('email-verification', owner.id, { email: owner.email });
  return { newLink, mails: [newMail('verify-email', owner, {}, newLink.id)] };
}

/**
 * A link that sets another password for an account, and the mail that brings it to its email, whoever asked for it. Without an
 * account, one that costs as much to write.
 */
export function passwordResetLink(links: Links, owner: Owner | undefined): MailedLink {
  if (owner === undefined) {
    const decoy = links.decoy('password-reset');
    return { newLink: decoy, mails: [newMail('reset-password', NOBODY, {}, decoy.id)] };
  }
  const newLink = links.create('password-reset', owner.id, { email: owner.email });
  return { newLink, mails: [newMail('reset-password', owner, {}, newLink.id)] };
}
