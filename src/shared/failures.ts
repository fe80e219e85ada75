import { z } from 'zod';

/** Why a session is over. A refresh will not help; signing in will. */
export const sessionEndReasons = ['none', 'invalid', 'expired', 'revoked', 'reused'] as const;
export type SessionEndReason = (typeof sessionEndReasons)[number];

const retryAfter = z.number().nonnegative();

/**
 * Every outcome of a call that is expected to go wrong, as it travels in `error.data.failure`.
 * Codes are the contract, sentences are the client's: see `failureMessage`.
 */
const failureSchema = z.discriminatedUnion('code', [
  z.object({ code: z.literal('invalid_input'), fields: z.record(z.string(), z.array(z.string())) }),
  z.object({ code: z.literal('username_taken') }),
  z.object({ code: z.literal('email_taken') }),
  z.object({ code: z.literal('invalid_credentials') }),
  z.object({ code: z.literal('access_token_missing') }),
  z.object({ code: z.literal('access_token_expired') }),
  z.object({ code: z.literal('access_token_invalid') }),
  z.object({ code: z.literal('session_ended'), reason: z.enum(sessionEndReasons) }),
  /** `retryAfter` in seconds. */
  z.object({ code: z.literal('rate_limited'), retryAfter }),
  /** `retryAfter` in seconds. */
  z.object({ code: z.literal('overloaded'), retryAfter }),
  z.object({ code: z.literal('origin_not_allowed') }),
  z.object({ code: z.literal('payload_too_large') }),
  z.object({ code: z.literal('batch_refused') }),
  z.object({ code: z.literal('unsupported_content') }),
]);
export type Failure = z.infer<typeof failureSchema>;
export type FailureCode = Failure['code'];

/**
 * The failure that an error of a tRPC call carries, if it carries one that we know.
 * @param error anything that was thrown or handed to an error callback
 */
export function failureOf(error: unknown): Failure | undefined {
  const data = (error as { data?: { failure?: unknown } | null } | null | undefined)?.data;
  return failureSchema.safeParse(data?.failure).data;
}

/** What a person reads. One plain sentence per failure, saying what to do where there is something to do. */
export function failureMessage(failure: Failure): string {
  switch (failure.code) {
    case 'invalid_input':
      return 'Please check what you have entered.';
    case 'username_taken':
      return 'This username is already taken.';
    case 'email_taken':
      return 'There is already an account with this email.';
    case 'invalid_credentials':
      return 'Email or password is wrong.';
    case 'access_token_missing':
    case 'access_token_expired':
    case 'access_token_invalid':
      return 'Please log in to continue.';
    case 'session_ended':
      return sessionEndMessage(failure.reason);
    case 'rate_limited':
      return `Too many attempts. Please try again in ${inWords(failure.retryAfter)}.`;
    case 'overloaded':
      return `We are very busy right now. Please try again in ${inWords(failure.retryAfter)}.`;
    case 'origin_not_allowed':
      return 'This page may not use this server.';
    case 'payload_too_large':
      return 'That is more than we can take at once.';
    case 'batch_refused':
    case 'unsupported_content':
      return 'The server did not understand this page. Please reload it.';
  }
}

/** What a person reads on the login page when their session has ended. */
export function sessionEndMessage(reason: SessionEndReason): string {
  switch (reason) {
    case 'none':
    case 'invalid':
      return 'Please log in to continue.';
    case 'expired':
      return 'You were away for a while, so we logged you out. Please log in again.';
    case 'revoked':
      return 'You have been logged out. Please log in again.';
    case 'reused':
      return 'We logged you out because your session was used from somewhere else. If that was not you, change your password.';
  }
}

/** @param seconds a duration in seconds */
function inWords(seconds: number): string {
  const whole = Math.max(1, Math.ceil(seconds));
  if (whole < 60) return whole === 1 ? 'a second' : `${whole} seconds`;
  const minutes = Math.ceil(whole / 60);
  return minutes === 1 ? 'a minute' : `${minutes} minutes`;
}
