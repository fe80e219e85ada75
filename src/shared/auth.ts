// zod/mini: a fraction of the size, and this is in the first download of the login page. Its schemas mix with those of zod.
import * as z from 'zod/mini';

/** The least that `PASSWORD_MIN_LENGTH` may be set to, and its default. In code points after NFC. */
export const PASSWORD_MIN_LENGTH = 8;
/** In code points after NFC. */
const PASSWORD_MAX_LENGTH = 128;
/** In UTF-16 code units as sent. Bounds the work of normalizing, which comes before counting code points. */
const PASSWORD_MAX_RAW_LENGTH = 1024;
/** RFC 5321, section 4.5.3.1.3, less the angle brackets. */
const EMAIL_MAX_LENGTH = 254;

/**
 * What a client may know about a user, listed field by field so that adding a column to the table exposes nothing.
 * `createdAt` is an ISO 8601 string in UTC.
 */
export const userSchema = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  createdAt: z.string(),
});
export type User = z.infer<typeof userSchema>;

/** What register, login and refresh return. The refresh token is not part of it: it travels in an HTTP-only cookie. */
export const grantSchema = z.object({
  accessToken: z.string().check(z.minLength(1)),
  /** In seconds from now. A duration rather than a date, because the client's clock may be wrong. */
  expiresIn: z.number().check(z.positive()),
  /** Not secret. The generation orders the grants of one session without relying on a clock. */
  session: z.object({ id: z.string().check(z.minLength(1)), generation: z.int().check(z.positive()) }),
  user: userSchema,
});
export type Grant = z.infer<typeof grantSchema>;

const username = z
  .string('Enter a username.')
  .check(
    z.minLength(1, { error: 'Enter a username.', abort: true }),
    z.minLength(3, 'Use at least 3 characters.'),
    z.maxLength(32, 'Use at most 32 characters.'),
    z.regex(/^[A-Za-z0-9_.-]*$/, 'Use only letters without accents, digits, and _ . -'),
  );

const email = z.pipe(
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

/** A password to be checked, not set. Bounded in length only, so that a stricter policy never locks anybody out. */
const existingPassword = z
  .string('Enter your password.')
  .check(
    z.minLength(1, 'Enter your password.'),
    z.maxLength(PASSWORD_MAX_RAW_LENGTH, `Use at most ${PASSWORD_MAX_LENGTH} characters.`),
  );

/**
 * A password to be set, as far as form and server can both judge it; the server adds its own rules (passwords/policy.ts).
 * @param minLength in code points after NFC: the server's setting
 */
export const newPassword = (minLength = PASSWORD_MIN_LENGTH) =>
  existingPassword.check(
    z.superRefine((password, ctx) => {
      // A lone surrogate has no UTF-8 encoding: all of them would be hashed as the same replacement character.
      if (!password.isWellFormed()) return ctx.addIssue('This contains a character that cannot be stored.');
      const length = Array.from(password.normalize('NFC')).length;
      if (length < minLength) ctx.addIssue(`Use at least ${minLength} characters.`);
      if (length > PASSWORD_MAX_LENGTH) ctx.addIssue(`Use at most ${PASSWORD_MAX_LENGTH} characters.`);
    }),
  );

/** What is wrong with a password that is its owner's email or username in any case; undefined if it is neither. */
export function ownNameProblem(password: string, owner: { username: string; email: string }): string | undefined {
  const isOwnName = [owner.email, owner.username].some((name) => name.toLowerCase() === password.toLowerCase());
  return isOwnName ? 'Choose a password that is not your email or username.' : undefined;
}

/**
 * The input of `auth.register` and of its form.
 * @param minLength of the password, in code points after NFC: the server's setting
 */
export const registerInputFor = (minLength: number) =>
  z.strictObject({ username, email, password: newPassword(minLength) }).check(
    z.superRefine((input, ctx) => {
      const message = ownNameProblem(input.password, input);
      if (message !== undefined) ctx.addIssue({ code: 'custom', path: ['password'], message });
    }),
  );

export const registerInput = registerInputFor(PASSWORD_MIN_LENGTH);
export type RegisterInput = z.infer<typeof registerInput>;

/** The input of `auth.login` and of its form. */
export const loginInput = z.strictObject({ email, password: existingPassword });
export type LoginInput = z.infer<typeof loginInput>;
