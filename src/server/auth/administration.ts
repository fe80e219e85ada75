import type { Role } from '../../shared/auth.ts';
import { newMail } from '../mail/mails.ts';
import { toUser, type Account, type AccountChange } from './store/auth-store.ts';

// What both the admin's procedures and the scripts of package.json change.

type Change = Pick<AccountChange, 'expected' | 'set' | 'endSessions' | 'revokeLinks' | 'mails'>;

/** @returns undefined where the account has the role already */
export function roleChange(account: Account, role: Role): Change | undefined {
  if (account.role === role) return undefined;
  return {
    expected: { role: account.role },
    set: { role },
    mails: [newMail('role-changed', toUser(account), { role })],
  };
}

/**
 * Disabling ends the sessions, and the links that would be of use to whoever reads the mail.
 * @param now in milliseconds since the epoch
 * @returns undefined where the account is disabled, or enabled, already
 */
export function disabling({ disabledAt }: Account, disabled: boolean, now: number): Change | undefined {
  if ((disabledAt !== null) === disabled) return undefined;
  if (!disabled) return { expected: { disabledAt }, set: { disabledAt: null } };
  return {
    expected: { disabledAt: null },
    set: { disabledAt: now },
    endSessions: {},
    revokeLinks: ['password-reset', 'email-change'],
  };
}
