import type { ReactNode } from 'react';
import type { AuditType } from '../../server/auth/audit.ts';

export interface Told {
  /** Whom it is about, usually a link. */
  who: ReactNode;
  /** Who did it, where that is somebody else; undefined where nobody else is known. */
  by: ReactNode | undefined;
  detail: string | null;
}

interface Kind {
  /** For choosing it. */
  label: string;
  sentence: (told: Told) => ReactNode;
}

/** An admin, or whoever runs the scripts of the server. */
const operator = (by: ReactNode | undefined) => by ?? 'whoever runs this server';

const plural = (count: string | null, one: string, many: string) =>
  count === '1' ? one : `${count ?? 'some'} ${many}`;

/** Every type of event in words. One that is missing does not compile. */
const kinds: Record<AuditType, Kind> = {
  registered: { label: 'Account created', sentence: ({ who }) => <>{who} created an account.</> },
  registration_requested: {
    label: 'Account asked for',
    sentence: ({ who }) => <>{who} asked for an account, and got a mail.</>,
  },
  signed_in: { label: 'Logged in', sentence: ({ who }) => <>{who} logged in.</> },
  sign_in_failed: {
    label: 'Login failed',
    sentence: ({ who, detail }) =>
      detail === 'account_disabled' ? (
        <>A login as {who} was refused: the account is disabled.</>
      ) : (
        <>A login as {who} failed: email or password was wrong.</>
      ),
  },
  reauthenticated: { label: 'Password confirmed', sentence: ({ who }) => <>{who} confirmed who they are.</> },
  reauthentication_failed: {
    label: 'Password not confirmed',
    sentence: ({ who }) => <>{who} gave a wrong password when asked to confirm who they are.</>,
  },
  signed_out: { label: 'Logged out', sentence: ({ who }) => <>{who} logged out.</> },
  other_sessions_ended: {
    label: 'Other sessions ended',
    sentence: ({ who, detail }) => (
      <>
        {who} ended {plural(detail, 'another session', 'other sessions')}.
      </>
    ),
  },
  username_changed: {
    label: 'Username changed',
    sentence: ({ who, detail }) => (
      <>
        {who} changed their username{detail !== null && `: ${detail}`}.
      </>
    ),
  },
  password_changed: { label: 'Password changed', sentence: ({ who }) => <>{who} changed their password.</> },
  exported: { label: 'Data downloaded', sentence: ({ who }) => <>{who} downloaded their data.</> },
  account_deleted: { label: 'Account deleted', sentence: ({ who }) => <>{who} deleted their account.</> },
  email_verified: { label: 'Email confirmed', sentence: ({ who }) => <>{who} confirmed their email.</> },
  email_change_requested: {
    label: 'Email change asked for',
    sentence: ({ who }) => <>{who} asked to change their email.</>,
  },
  email_changed: { label: 'Email changed', sentence: ({ who }) => <>{who} changed their email.</> },
  password_reset_requested: {
    label: 'Password reset asked for',
    sentence: ({ who, by }) =>
      by === undefined ? (
        <>Somebody asked for a link to reset the password of {who}.</>
      ) : (
        <>
          {by} sent {who} a link to reset the password.
        </>
      ),
  },
  password_reset: { label: 'Password reset', sentence: ({ who }) => <>{who} set a new password with a mailed link.</> },
  ended: { label: 'Session ended', sentence: ({ who }) => <>A session of {who} was ended.</> },
  reused: {
    label: 'Stolen session ended',
    sentence: ({ who }) => <>A session of {who} was ended because it was used from two places.</>,
  },
  sessions_ended: {
    label: 'Sessions ended by an admin',
    sentence: ({ who, by, detail }) => (
      <>
        {operator(by)} ended {plural(detail, 'one session', 'sessions')} of {who}.
      </>
    ),
  },
  role_changed: {
    label: 'Role changed',
    sentence: ({ who, by, detail }) => (
      <>
        {operator(by)} changed the role of {who}
        {detail !== null && `: ${detail}`}.
      </>
    ),
  },
  disabled: {
    label: 'Account disabled',
    sentence: ({ who, by }) => (
      <>
        {operator(by)} disabled the account of {who}.
      </>
    ),
  },
  enabled: {
    label: 'Account enabled',
    sentence: ({ who, by }) => (
      <>
        {operator(by)} enabled the account of {who}.
      </>
    ),
  },
  mail_given_up: {
    label: 'Mail not delivered',
    sentence: ({ who, detail }) => (
      <>
        A mail to {who} could not be delivered{detail !== null && ` (${detail})`}.
      </>
    ),
  },
  limited: { label: 'Too many attempts', sentence: () => <>Too many attempts from one network were refused.</> },
  origin_refused: {
    label: 'Foreign page refused',
    sentence: ({ detail }) => <>A call from another site was refused{detail !== null && `: ${detail}`}.</>,
  },
};

export const eventTypes = Object.keys(kinds) as AuditType[];

export const isEventType = (type: string): type is AuditType => Object.hasOwn(kinds, type);

export const eventLabel = (type: AuditType): string => kinds[type].label;

/** @param type one of a newer or an older version of the server is shown as it is */
export const sentenceFor = (type: string, told: Told): ReactNode =>
  isEventType(type) ? kinds[type].sentence(told) : <>Event “{type}”.</>;
