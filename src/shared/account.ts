import * as z from 'zod/mini';
import { newPassword, PASSWORD_MIN_LENGTH, username } from './auth.ts';
import { id } from './text.ts';

/** A session as its owner sees it. Dates are ISO 8601 in UTC. */
export interface SessionSummary {
  /** Not secret: each browser knows that of its own session, and it opens nothing. */
  id: string;
  /** Whether this is the session that asks. */
  current: boolean;
  /** In words: `Firefox on Windows`. */
  device: string;
  ip: string | null;
  createdAt: string;
  lastSeenAt: string;
}

export const endSessionInput = z.strictObject({ id });

export const changeUsernameInput = z.strictObject({ username });

/** @param minLength the server setting, in code points after NFC */
export const changePasswordInputFor = (minLength: number) => z.strictObject({ password: newPassword(minLength) });
export const changePasswordInput = changePasswordInputFor(PASSWORD_MIN_LENGTH);

/** The username, typed again exactly as it is shown. */
export const deleteAccountInput = z.strictObject({ username: z.string('Enter your username.') });
