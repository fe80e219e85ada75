import { z } from 'zod';

/** The shortest password that may ever be allowed; `PASSWORD_MIN_LENGTH` can ask for more. In code points. */
export const PASSWORD_MIN_LENGTH = 8;
/** In code points, after NFC. */
const PASSWORD_MAX_LENGTH = 128;
/** In UTF-16 units, as sent: bounds the work of normalising before anything is counted. */
const PASSWORD_MAX_RAW_LENGTH = 1024;
/** RFC 5321, section 4.5.3.1.3, less the angle brackets. */
const EMAIL_MAX_LENGTH = 254;

/**
 * A person as a client may know them; chosen field by field, so that no column of the table ever leaks by being added.
 * `createdAt` is an ISO 8601 string in UTC.
 */
export const userSchema = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  createdAt: z.string(),
});
export type User = z.infer<typeof userSchema>;

/** What register, login and refresh answer. The refresh token is not in it: it travels in an HTTP-only cookie. */
export const grantSchema = z.object({
  accessToken: z.string().min(1),
  /** Seconds from now. A duration, so that the client need not trust its own clock. */
  expiresIn: z.number().positive(),
  /** Not secret. The generation orders the grants of a session without a clock. */
  session: z.object({ id: z.string().min(1), generation: z.number().int().positive() }),
  user: userSchema,
});
export type Grant = z.infer<typeof grantSchema>;

const username = z
  .string('Enter a username.')
  .min(1, { error: 'Enter a username.', abort: true })
  .min(3, 'Use at least 3 characters.')
  .max(32, 'Use at most 32 characters.')
  .regex(/^[A-Za-z0-9_.-]*$/, 'Use only letters without accents, digits, and _ . -');

const email = z
  .string('Enter your email.')
  .trim()
  .min(1, { error: 'Enter your email.', abort: true })
  .max(EMAIL_MAX_LENGTH, { error: `Use at most ${EMAIL_MAX_LENGTH} characters.`, abort: true })
  // Before lower-casing, which turns some letters from beyond ASCII into ASCII ones (the Kelvin sign into k).
  .regex(/^[\x21-\x7e]*$/, { error: 'Use only plain letters, digits and signs, without spaces.', abort: true })
  .toLowerCase()
  .pipe(z.email('Enter an email like name@example.com.'));

/** Where a password is given, not set: only bounded, so that a policy that grew stricter locks nobody out. */
const givenPassword = z
  .string('Enter your password.')
  .min(1, 'Enter your password.')
  .max(PASSWORD_MAX_RAW_LENGTH, `Use at most ${PASSWORD_MAX_LENGTH} characters.`);

/**
 * Where a password is set.
 * @param minLength in code points, after NFC; the server's setting, where it is known
 */
export const newPassword = (minLength = PASSWORD_MIN_LENGTH) =>
  givenPassword.superRefine((password, ctx) => {
    // A lone surrogate has no UTF-8 form, so two such passwords would hash alike.
    if (!password.isWellFormed()) return ctx.addIssue('This contains a character that cannot be stored.');
    const length = Array.from(password.normalize('NFC')).length;
    if (length < minLength) ctx.addIssue(`Use at least ${minLength} characters.`);
    if (length > PASSWORD_MAX_LENGTH) ctx.addIssue(`Use at most ${PASSWORD_MAX_LENGTH} characters.`);
  });

/** The input of `auth.register` and of its form, for a server that accepts passwords from `minLength` code points on. */
export const registerInputFor = (minLength: number) =>
  z
    .strictObject({ username, email, password: newPassword(minLength) })
    .superRefine(({ username, email, password }, ctx) => {
      const lowered = password.toLowerCase();
      if (lowered === email || lowered === username.toLowerCase())
        ctx.addIssue({
          code: 'custom',
          path: ['password'],
          message: 'Choose a password that is not your email or username.',
        });
    });
export const registerInput = registerInputFor(PASSWORD_MIN_LENGTH);
export type RegisterInput = z.infer<typeof registerInput>;

/** The input of `auth.login` and of its form. */
export const loginInput = z.strictObject({ email, password: givenPassword });
export type LoginInput = z.infer<typeof loginInput>;
