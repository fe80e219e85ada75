import * as z from 'zod/mini';
import { newPassword, PASSWORD_MIN_LENGTH, username } from './auth.ts';
import type { SessionSummary } from './sessions.ts';
import { id } from './text.ts';

/** A session as its owner sees it. */
export interface OwnSession extends SessionSummary {
  /** Whether this is the session that asks. */
  current: boolean;
}

export const endSessionInput = z.strictObject({ id });

export const changeUsernameInput = z.strictObject({ username });

/** @param minLength the server setting, in code points after NFC */
export const changePasswordInputFor = (minLength: number) => z.strictObject({ password: newPassword(minLength) });
export const changePasswordInput = changePasswordInputFor(PASSWORD_MIN_LENGTH);

/** The username, typed again exactly as it is shown. */
export const deleteAccountInput = z.strictObject({ username: z.string('Enter your username.') });
