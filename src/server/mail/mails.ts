import type { Role } from '../../shared/auth.ts';

/** Who a mail is for. */
export interface Recipient {
  /** Null where there is no account. */
  id: string | null;
  username: string;
  email: string;
  /** Whether somebody has proved that the address is theirs. */
  emailVerified: boolean;
}

/** Every mail of the app, and what its text needs besides the username. To add one, add it here and in templates.ts. */
export interface MailData {
  /** With a link. */
  'verify-email': Nothing;
  /** With a link; to the new address. */
  'confirm-email': Nothing;
  /** With a link. */
  'reset-password': Nothing;
  /** To the old address. `newEmail` is empty where that was never verified. */
  'email-changed': { newEmail: string };
  'password-changed': Nothing;
  'role-changed': { role: Role };
  'account-deleted': Nothing;
  'session-reused': Where;
  'new-device': Where;
  /** To the owner of an email with which somebody has tried to register. */
  'already-registered': Nothing;
}
export type Template = keyof MailData;

type Nothing = Record<string, never>;

/** `device` in words; `ip` as people can recognize it. */
interface Where {
  device: string;
  ip: string;
}

/** A mail to be sent, as what causes it writes it to the outbox. */
export interface NewMail {
  userId: string | null;
  /** An email address. */
  recipient: string;
  template: string;
  data: Record<string, string>;
  /** The link that it carries: once that no longer works, the mail is not sent any more. */
  linkId?: string | undefined;
}

/** @param recipient with the address to send it to, if not that of the account, as `email` */
export function newMail<Name extends Template>(
  template: Name,
  { id, username, email, emailVerified }: Recipient,
  data: MailData[Name],
  linkId?: string,
): NewMail {
  // Anybody can register with the email of a stranger, who should not get mail from us with words of their choice.
  return { userId: id, recipient: email, template, data: { ...data, username: emailVerified ? username : '' }, linkId };
}
