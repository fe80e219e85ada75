import type { Session } from './session.ts';

// What the session and the link need of each other, and nobody else.

/** What came of waiting for a usable token. `superseded`: who asked belongs to another epoch. */
export type Renewal =
  | { kind: 'ready' }
  | { kind: 'unavailable'; retryAfterMs: number; cause?: unknown }
  | { kind: 'ended' }
  | { kind: 'superseded' }
  | { kind: 'disposed' };

/** Which token an attempt was sent with. `serial` 0: none. */
export interface Stamp {
  epoch: number;
  serial: number;
  sessionId?: string | undefined;
}

/** What only the link may use. */
export interface SessionCore {
  /** Of the current token. */
  stamp(): Stamp;
  accessToken(): string | undefined;
  /** Whether an operation has to wait for `renew` before it is sent. */
  needsRenewal(): boolean;
  /** A usable token, newer than the one `from` was sent with. */
  renew(from: Stamp): Promise<Renewal>;
  /** A token that was fetched because of a refusal has itself been refused. */
  refusedAgain(from: Stamp): void;
  /** Of the current token, in milliseconds. */
  lifetimeMs(): number;
  /** The milliseconds since it was called. */
  stopwatch(): () => number;
  /** Resolves when somebody is told of the next change. */
  changed(): Promise<void>;
}

export const cores = new WeakMap<Session, SessionCore>();

/** @throws TypeError for a session that `createSession` has not made */
export function coreOf(session: Session): SessionCore {
  const core = cores.get(session);
  if (!core) throw new TypeError('Not a session made by createSession().');
  return core;
}
