// zod/mini is a fraction of the size, and the login page downloads this. Its schemas mix with those of zod.
import * as z from 'zod/mini';

/** Lower bound and default of the `PASSWORD_MIN_LENGTH` setting, in code points after NFC. */
export const PASSWORD_MIN_LENGTH = 8;
/** In code points after NFC. */
const PASSWORD_MAX_LENGTH = 128;
/** In UTF-16 code units. Bounds the work of normalizing, which comes before counting code points. */
const PASSWORD_MAX_RAW_LENGTH = 1024;
/** RFC 5321, section 4.5.3.1.3, less the angle brackets. */
const EMAIL_MAX_LENGTH = 254;

/** What an account may do. To add a role, add it here. */
export const roles = ['user', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Listed field by field, so that a new column exposes nothing. `createdAt` is ISO 8601 in UTC. */
export const userSchema = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  emailVerified: z.boolean(),
  role: z.enum(roles),
  createdAt: z.string(),
});
export type User = z.infer<typeof userSchema>;

/** What register, login and refresh return. The refresh token travels in an HTTP-only cookie instead. */
export const grantSchema = z.object({
  accessToken: z.string().check(z.minLength(1)),
  /** Seconds from now. Not a date, because the client's clock may be wrong. */
  expiresIn: z.number().check(z.positive()),
  /** Not secret. The generation orders the grants of a session without relying on a clock. */
  session: z.object({ id: z.string().check(z.minLength(1)), generation: z.int().check(z.positive()) }),
  user: userSchema,
});
export type Grant = z.infer<typeof grantSchema>;

export const username = z
  .string('Enter a username.')
  .check(
    z.minLength(1, { error: 'Enter a username.', abort: true }),
    z.minLength(3, 'Use at least 3 characters.'),
    z.maxLength(32, 'Use at most 32 characters.'),
    z.regex(/^[A-Za-z0-9_.-]*$/, 'Use only letters without accents, digits, and _ . -'),
  );

export const email = z.pipe(
  z.string('Enter your email.').check(
    z.trim(),
    z.minLength(1, { error: 'Enter your email.', abort: true }),
    z.maxLength(EMAIL_MAX_LENGTH, { error: `Use at most ${EMAIL_MAX_LENGTH} characters.`, abort: true }),
    // Before lower-casing, which maps some non-ASCII letters to ASCII ones (the Kelvin sign to k).
    z.regex(/^[\x21-\x7e]*$/, { error: 'Use only plain letters, digits and signs, without spaces.', abort: true }),
    z.toLowerCase(),
  ),
  z.email('Enter an email like name@example.com.'),
);

/** For checking, not setting: bounded in length only, so that a stricter policy never locks anyone out. */
export const existingPassword = z
  .string('Enter your password.')
  .check(
    z.minLength(1, 'Enter your password.'),
    z.maxLength(PASSWORD_MAX_RAW_LENGTH, `Use at most ${PASSWORD_MAX_LENGTH} characters.`),
  );

/** As far as the form can judge; passwords/policy.ts adds rules. @param minLength in code points after NFC */
export const newPassword = (minLength = PASSWORD_MIN_LENGTH) =>
  existingPassword.check(
    z.superRefine((password, ctx) => {
      // A lone surrogate has no UTF-8 encoding: all of them would hash as the same replacement character.
      if (!password.isWellFormed()) return ctx.addIssue('This contains a character that cannot be stored.');
      const length = Array.from(password.normalize('NFC')).length;
      if (length < minLength) ctx.addIssue(`Use at least ${minLength} characters.`);
      if (length > PASSWORD_MAX_LENGTH) ctx.addIssue(`Use at most ${PASSWORD_MAX_LENGTH} characters.`);
    }),
  );

/** Undefined unless the password is the email or username of its owner, in any case. */
export function ownNameProblem(password: string, owner: { username: string; email: string }): string | undefined {
  const isOwnName = [owner.email, owner.username].some((name) => name.toLowerCase() === password.toLowerCase());
  return isOwnName ? 'Choose a password that is not your email or username.' : undefined;
}

/** @param minLength the server setting, in code points after NFC */
export const registerInputFor = (minLength: number) =>
  z.strictObject({ username, email, password: newPassword(minLength) }).check(
    z.superRefine((input, ctx) => {
      const message = ownNameProblem(input.password, input);
      if (message !== undefined) ctx.addIssue({ code: 'custom', path: ['password'], message });
    }),
  );

export const registerInput = registerInputFor(PASSWORD_MIN_LENGTH);
export type RegisterInput = z.infer<typeof registerInput>;

/** `remember`: whether the session outlives the browser; it does unless `false`. */
export const loginInput = z.strictObject({ email, password: existingPassword, remember: z.optional(z.boolean()) });
export type LoginInput = z.infer<typeof loginInput>;

export const reauthenticateInput = z.strictObject({ password: existingPassword });
