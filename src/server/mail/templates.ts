import type { MailData, Template } from './mails.ts';
import type { OutboxRow } from './outbox-store.ts';

/** A link that works for a time. `expiresAt` in milliseconds since the epoch. */
export interface MailedLink {
  url: string;
  expiresAt: number;
}

/** What a mail says, from which its text and its HTML are made. */
export interface Content {
  subject: string;
  greeting: string;
  paragraphs: string[];
  /** Such as the device: label and value. */
  facts?: [string, string][];
  action?: { label: string; url: string; note?: string };
  /** What to do if it was somebody else. */
  unexpected: string;
}

interface Context<Name extends Template> {
  /** `username` is empty in mail to an address that is not verified. */
  data: MailData[Name] & { username: string };
  /** When it happened, in words. */
  when: string;
  link: MailedLink | undefined;
  /** @param path of a page of the app @returns its URL */
  page: (path: string) => string;
}

/**
 * Every mail. One to an address that nobody has proved to be theirs repeats nothing that its sender could choose, the username
 * included: it would carry advertising to strangers in our name.
 */
const TEMPLATES: { [Name in Template]: (context: Context<Name>) => Content } = {
  'verify-email': ({ when, link }) => ({
    subject: 'Confirm your email address',
    greeting: 'Hello,',
    paragraphs: [
      `On ${when}, this email address was entered for an account on Latchkey. Please confirm that it is yours.`,
    ],
    action: mailedLink('Confirm email address', link),
    unexpected:
      'If this was not you, do not confirm: somebody else has chosen the password of that account. You can ignore this mail.',
  }),

  'confirm-email': ({ when, link }) => ({
    subject: 'Confirm your new email address',
    greeting: 'Hello,',
    paragraphs: [
      `On ${when}, the owner of an account on Latchkey asked to use this email address from now on. Please confirm that it is yours: only then does the change take effect.`,
    ],
    action: mailedLink('Confirm new email address', link),
    unexpected: 'If this was not you, you can ignore this mail. Without your confirmation, nothing changes.',
  }),

  'reset-password': ({ data, when, link }) => ({
    subject: 'Reset your password',
    greeting: greet(data),
    paragraphs: [
      `On ${when}, a new password was requested for your account on Latchkey. Choose one with the link below. You will then be logged out everywhere, and can log in with the new password.`,
    ],
    action: mailedLink('Choose a new password', link),
    unexpected:
      'If this was not you, you can ignore this mail. Your password stays as it is, and nobody can change it without this link.',
  }),

  'email-changed': ({ data, when }) => ({
    subject: 'Your email address was changed',
    greeting: greet(data),
    paragraphs: [
      `On ${when}, the email address of your account on Latchkey was changed to ${data.newEmail || 'another one'}. Log in with the new address from now on. Mail about your account no longer goes to this one.`,
    ],
    unexpected:
      'If this was not you, somebody else has access to your account: contact the people who run Latchkey at once. Only they can give it back to you.',
  }),

  'password-changed': ({ data, when, page }) => ({
    subject: 'Your password was changed',
    greeting: greet(data),
    paragraphs: [
      `On ${when}, the password of your account on Latchkey was changed. Every other browser that was logged in has been logged out.`,
      'If this was you, there is nothing to do.',
    ],
    action: { label: 'Reset your password', url: page('/forgot-password') },
    unexpected:
      'If this was not you, somebody else has access to your account: reset your password at once with the link above.',
  }),

  'role-changed': ({ data, when, page }) => ({
    subject: 'Your role was changed',
    greeting: greet(data),
    paragraphs: [
      data.role === 'admin'
        ? `On ${when}, you became an administrator of Latchkey: you can now see and manage the accounts of other people.`
        : `On ${when}, your role on Latchkey was changed to “${data.role}”. What you can see and do may differ from before. Your account is otherwise unchanged.`,
    ],
    action: { label: 'Open your account', url: page('/account') },
    unexpected: 'If you did not expect this, ask the people who run Latchkey.',
  }),

  'account-deleted': ({ data, when }) => ({
    subject: 'Your account was deleted',
    greeting: greet(data),
    paragraphs: [
      `On ${when}, your account on Latchkey was deleted. You have been logged out everywhere, and can no longer log in. This is the last mail about it.`,
    ],
    unexpected: 'If this was not you, contact the people who run Latchkey at once.',
  }),

  'session-reused': ({ data, when, page }) => ({
    subject: 'We logged you out to protect your account',
    greeting: greet(data),
    paragraphs: [
      `On ${when}, one of your logins was used by two browsers. That should not happen, and can mean that somebody has copied it, so we ended it for both.`,
      'You can log in again. Your other browsers stay logged in.',
    ],
    facts: where('Login on', data),
    action: { label: 'Review your account', url: page('/account') },
    unexpected:
      'If you have not restored a backup or copied your browser profile lately, change your password, log out your other browsers, and check this device for unwanted software.',
  }),

  'new-device': ({ data, when, page }) => ({
    subject: 'New login to your account',
    greeting: greet(data),
    paragraphs: [
      `On ${when}, somebody logged in to your account on Latchkey with a browser that had not been used for it before.`,
      'If this was you, there is nothing to do.',
    ],
    facts: where('Device', data),
    action: { label: 'Review your account', url: page('/account') },
    unexpected:
      'If this was not you, somebody else knows your password: change it at once, and log out your other browsers.',
  }),

  'already-registered': ({ data, when, page }) => ({
    subject: 'You already have an account',
    greeting: greet(data),
    paragraphs: [
      `On ${when}, somebody tried to register on Latchkey with this email address. There already is an account for it: yours. Nothing has changed.`,
      `If this was you, log in instead. If you have forgotten your password, you can choose a new one at ${page('/forgot-password')}`,
    ],
    action: { label: 'Log in', url: page('/login') },
    unexpected: 'If this was not you, you can ignore this mail.',
  }),
};

/**
 * @param appUrl the origin of the app
 * @returns undefined for a template that this version does not know
 * @throws Error if the template has a link and the row has none
 */
export function describeMail(
  { template, data, createdAt }: Pick<OutboxRow, 'template' | 'data' | 'createdAt'>,
  { link, appUrl }: { link: MailedLink | undefined; appUrl: string },
): Content | undefined {
  if (!Object.hasOwn(TEMPLATES, template)) return undefined;
  // `newMail` has checked that the data is that of the template.
  const describe = TEMPLATES[template as Template] as (context: Context<never>) => Content;
  const lines = Object.fromEntries(Object.entries(data).map(([name, value]) => [name, toLine(value)]));
  return describe({ data: lines as never, when: inWords(createdAt), link, page: (path) => `${appUrl}${path}` });
}

const greet = ({ username }: { username: string }) => (username === '' ? 'Hello,' : `Hello ${username},`);

function mailedLink(label: string, link: MailedLink | undefined): NonNullable<Content['action']> {
  if (link === undefined) throw new Error('This mail needs a link');
  return { label, url: link.url, note: `The link works once, until ${inWords(link.expiresAt)}.` };
}

const where = (label: string, { device, ip }: MailData['new-device']): [string, string][] => [
  [label, device],
  ['Network', ip],
];

const MAX_LINE_LENGTH = 254;

/** Some values are what a browser says of itself: no line breaks, nothing invisible or that turns text around. */
const toLine = (text: string) => text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, MAX_LINE_LENGTH);

const dateFormat = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeZone: 'UTC' });
const timeFormat = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short', timeZone: 'UTC' });

/** Nobody has told us the reader's time zone. */
const inWords = (time: number) => `${dateFormat.format(time)} at ${timeFormat.format(time)} UTC`;
