import { grantSchema, type Grant } from '../../shared/auth.ts';
import { sessionEndReasons, type SessionEndReason } from '../../shared/failures.ts';

export interface Unavailable {
  kind: 'unavailable';
  /** As the server has asked. */
  retryAfterMs?: number;
  cause?: unknown;
}

/** What a refresh came to. Only `ended` is definite: the session is over. */
export type RefreshOutcome =
  | { kind: 'granted'; grant: Grant }
  | { kind: 'ended'; reason: SessionEndReason }
  | Unavailable;

/** What an app's `refresh` has answered, which may be anything: what is not understood is no reason to sign anybody out. */
export function parseOutcome(outcome: RefreshOutcome): RefreshOutcome {
  const grant = outcome?.kind === 'granted' && grantSchema.safeParse(outcome.grant).data;
  if (grant) return { kind: 'granted', grant };
  if (outcome?.kind === 'ended' && sessionEndReasons.includes(outcome.reason)) return outcome;
  // Without what came: there may be a token in it.
  if (outcome?.kind !== 'unavailable') return unavailable(new TypeError('The refresh was answered in no known form.'));
  const { retryAfterMs: ms = 0, cause } = outcome;
  return ms >= 0 && Number.isFinite(ms) ? { kind: 'unavailable', retryAfterMs: ms, cause } : unavailable(cause);
}

export function unavailable(cause: unknown): Unavailable {
  return { kind: 'unavailable', cause };
}
