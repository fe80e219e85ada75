import * as z from 'zod/mini';

/** Why a session has ended. Only logging in again helps. */
export const sessionEndReasons = ['none', 'invalid', 'expired', 'revoked', 'reused'] as const;
export type SessionEndReason = (typeof sessionEndReasons)[number];

/** `never` means no details, which adds nothing to the type. */
type Infer<Shape extends z.core.$ZodShape> = [Shape] extends [never]
  ? unknown
  : { [Name in keyof Shape]: z.infer<Shape[Name]> };

function define<const TrpcCode extends string, const Details extends z.core.$ZodShape = never>(definition: {
  trpcCode: TrpcCode;
  details?: Details;
  field?: string;
  /** One plain sentence for people, saying what to do if anything can be done. */
  message: string | ((details: Infer<Details>) => string);
}) {
  return definition;
}

/** In seconds. */
const retryAfter = z.number().check(z.nonnegative());
const logIn = 'Please log in to continue.';
const reload = 'The server did not understand this page. Please reload it.';

/**
 * Every expected failure. To add one, add an entry: its type, schema, HTTP status and message follow. Codes are part
 * of the API; messages are not.
 */
export const failures = {
  invalid_input: define({
    trpcCode: 'BAD_REQUEST',
    details: { fields: z.record(z.string(), z.array(z.string())) },
    message: 'Please check your input.',
  }),
  username_taken: define({ trpcCode: 'CONFLICT', field: 'username', message: 'This username is already taken.' }),
  email_taken: define({
    trpcCode: 'CONFLICT',
    field: 'email',
    message: 'There is already an account with this email.',
  }),
  invalid_credentials: define({ trpcCode: 'UNAUTHORIZED', message: 'Email or password is wrong.' }),
  access_token_missing: define({ trpcCode: 'UNAUTHORIZED', message: logIn }),
  access_token_expired: define({ trpcCode: 'UNAUTHORIZED', message: logIn }),
  access_token_invalid: define({ trpcCode: 'UNAUTHORIZED', message: logIn }),
  session_ended: define({
    trpcCode: 'UNAUTHORIZED',
    details: { reason: z.enum(sessionEndReasons) },
    message: ({ reason }) => sessionEndMessage(reason),
  }),
  account_disabled: define({
    trpcCode: 'FORBIDDEN',
    message: 'This account has been disabled. Please contact whoever runs this site.',
  }),
  reauthentication_required: define({ trpcCode: 'FORBIDDEN', message: 'This needs your password. Please try again.' }),
  forbidden: define({ trpcCode: 'FORBIDDEN', message: 'You are not allowed to do this.' }),
  last_admin: define({
    trpcCode: 'CONFLICT',
    message: 'Nobody would be left who can administer this site. Please make somebody else an admin first.',
  }),
  mail_not_configured: define({
    trpcCode: 'PRECONDITION_FAILED',
    message: 'This site is not set up to send mail.',
  }),
  link_invalid: define({
    trpcCode: 'BAD_REQUEST',
    message: 'This link has expired or was already used. Please ask for a new one.',
  }),
  rate_limited: define({
    trpcCode: 'TOO_MANY_REQUESTS',
    details: { retryAfter },
    message: (details) => `Too many attempts. Please try again in ${inWords(details.retryAfter)}.`,
  }),
  overloaded: define({
    trpcCode: 'SERVICE_UNAVAILABLE',
    details: { retryAfter },
    message: (details) => `We are very busy right now. Please try again in ${inWords(details.retryAfter)}.`,
  }),
  origin_not_allowed: define({ trpcCode: 'FORBIDDEN', message: 'This page is not allowed to use this server.' }),
  payload_too_large: define({ trpcCode: 'PAYLOAD_TOO_LARGE', message: 'That is too large to send.' }),
  batch_refused: define({ trpcCode: 'BAD_REQUEST', message: reload }),
  unsupported_content: define({ trpcCode: 'UNSUPPORTED_MEDIA_TYPE', message: reload }),
};

type Failures = typeof failures;
export type FailureCode = keyof Failures;

type Flatten<Type> = { [Name in keyof Type]: Type[Name] };
type FailureByCode = { [Code in FailureCode]: Flatten<{ code: Code } & Infer<NonNullable<Failures[Code]['details']>>> };

export type Failure = FailureByCode[FailureCode];

/** An entry of any code. The table pairs each message with its details; TypeScript cannot follow that by index. */
interface Definition {
  details?: z.core.$ZodShape;
  field?: string;
  message: string | ((details: Failure) => string);
}
const definitionOf = (code: FailureCode) => failures[code] as Definition;

/** @returns undefined if the error carries none, or none that this version knows */
export function failureOf(error: unknown): Failure | undefined {
  const data = (error as { data?: { failure?: { code?: unknown } | null } | null } | null | undefined)?.data;
  const code = data?.failure?.code;
  if (typeof code !== 'string' || !Object.hasOwn(failures, code)) return undefined;
  const schema = z.object({ code: z.literal(code), ...definitionOf(code as FailureCode).details });
  return schema.safeParse(data?.failure).data as Failure | undefined;
}

export function failureMessage(failure: Failure): string {
  const { message } = definitionOf(failure.code);
  return typeof message === 'string' ? message : message(failure);
}

export const failureField = (failure: Failure): string | undefined => definitionOf(failure.code).field;

export function sessionEndMessage(reason: SessionEndReason): string {
  switch (reason) {
    case 'none':
    case 'invalid':
      return logIn;
    case 'expired':
      return 'You were away for a while, so we logged you out. Please log in again.';
    case 'revoked':
      return 'You have been logged out. Please log in again.';
    case 'reused':
      return 'We logged you out because your session was used from somewhere else. If that was not you, change your password.';
  }
}

function inWords(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 60) return whole === 1 ? 'a second' : `${whole} seconds`;
  const minutes = Math.ceil(whole / 60);
  return minutes === 1 ? 'a minute' : `${minutes} minutes`;
}
