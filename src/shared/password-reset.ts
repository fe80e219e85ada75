import * as z from 'zod/mini';
import { email, newPassword, PASSWORD_MIN_LENGTH } from './auth.ts';
import { linkToken } from './links.ts';

export const requestPasswordResetInput = z.strictObject({ email });

/** @param minLength the server setting, in code points after NFC */
export const completePasswordResetInputFor = (minLength: number) =>
  z.strictObject({ token: linkToken, password: newPassword(minLength) });

export const completePasswordResetInput = completePasswordResetInputFor(PASSWORD_MIN_LENGTH);
