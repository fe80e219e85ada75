import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  failureField,
  failureMessage,
  failureOf,
  sessionEndMessage,
  sessionEndReasons,
  type Failure,
  type FailureCode,
} from './failures.ts';

/** One per code; the compiler finds missing ones. */
const examples: { [Code in FailureCode]: Extract<Failure, { code: Code }> } = {
  invalid_input: { code: 'invalid_input', fields: { email: ['Enter your email.'] } },
  username_taken: { code: 'username_taken' },
  email_taken: { code: 'email_taken' },
  invalid_credentials: { code: 'invalid_credentials' },
  access_token_missing: { code: 'access_token_missing' },
  access_token_expired: { code: 'access_token_expired' },
  access_token_invalid: { code: 'access_token_invalid' },
  session_ended: { code: 'session_ended', reason: 'revoked' },
  account_disabled: { code: 'account_disabled' },
  reauthentication_required: { code: 'reauthentication_required' },
  forbidden: { code: 'forbidden' },
  link_invalid: { code: 'link_invalid' },
  last_admin: { code: 'last_admin' },
  mail_not_configured: { code: 'mail_not_configured' },
  rate_limited: { code: 'rate_limited', retryAfter: 30 },
  overloaded: { code: 'overloaded', retryAfter: 5 },
  origin_not_allowed: { code: 'origin_not_allowed' },
  payload_too_large: { code: 'payload_too_large' },
  batch_refused: { code: 'batch_refused' },
  unsupported_content: { code: 'unsupported_content' },
};

describe.each(Object.values(examples))('$code', (failure) => {
  it('is read from the error that carries it, after a round trip as JSON', () => {
    const error = JSON.parse(JSON.stringify({ data: { code: 'ANY', httpStatus: 400, failure } })) as unknown;
    expect(failureOf(error)).toEqual(failure);
  });

  it('has a message without jargon', () => {
    const sentence = failureMessage(failure);
    expect(sentence).toMatch(/^[A-Z].*[.]$/);
    expect(sentence).not.toMatch(/_|undefined|null|NaN|token/i);
  });
});

describe('an error without a known failure', () => {
  it.each([
    undefined,
    null,
    'text',
    1,
    new Error('boom'),
    {},
    { data: null },
    { data: 'text' },
    { data: {} },
    { data: { failure: null } },
    { data: { failure: 'session_ended' } },
    { data: { failure: { code: 'unheard_of' } } },
    { data: { failure: { code: 'toString' } } },
    { data: { failure: { code: ['email_taken'] } } },
    { data: { failure: { code: 'session_ended' } } },
    { data: { failure: { code: 'session_ended', reason: 'boredom' } } },
    { data: { failure: { code: 'rate_limited' } } },
    { data: { failure: { code: 'rate_limited', retryAfter: '5' } } },
    { data: { failure: { code: 'rate_limited', retryAfter: -1 } } },
    { data: { failure: { code: 'invalid_input' } } },
    { data: { failure: { code: 'invalid_input', fields: { email: 'x' } } } },
    { failure: { code: 'username_taken' } },
  ])('yields none: %j', (error) => {
    expect(failureOf(error)).toBeUndefined();
  });
});

describe('failures', () => {
  it('may carry details that a newer server adds', () => {
    expect(failureOf({ data: { failure: { code: 'email_taken', hint: 'x' } } })).toEqual({ code: 'email_taken' });
  });

  it('have the types of their details', () => {
    expectTypeOf<Extract<Failure, { code: 'email_taken' }>>().toEqualTypeOf<{ code: 'email_taken' }>();
    expectTypeOf<Extract<Failure, { code: 'rate_limited' }>['retryAfter']>().toEqualTypeOf<number>();
  });

  it('name the form field they concern', () => {
    expect(failureField({ code: 'username_taken' })).toBe('username');
    expect(failureField({ code: 'email_taken' })).toBe('email');
    expect(failureField({ code: 'invalid_credentials' })).toBeUndefined();
  });

  it('have a message for each reason a session ends', () => {
    const messages = sessionEndReasons.map((reason) => failureMessage({ code: 'session_ended', reason }));
    expect(messages).toEqual(sessionEndReasons.map(sessionEndMessage));
    expect(new Set(messages).size).toBe(sessionEndReasons.length - 1);
    expect(sessionEndMessage('none')).toBe(sessionEndMessage('invalid'));
    expect(sessionEndMessage('reused')).toContain('change your password');
  });

  it.each([
    [0, 'a second'],
    [0.2, 'a second'],
    [1, 'a second'],
    [1.1, '2 seconds'],
    [59, '59 seconds'],
    [59.5, 'a minute'],
    [60, 'a minute'],
    [61, '2 minutes'],
    [3_600, '60 minutes'],
  ])('phrase a wait of %d seconds as: %s', (retryAfter, words) => {
    for (const code of ['rate_limited', 'overloaded'] as const)
      expect(failureMessage({ code, retryAfter })).toContain(`in ${words}.`);
  });
});
