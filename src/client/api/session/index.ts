export type { SessionEnvironment } from './environment.ts';
export type { Grant, Person, RefreshOutcome, SessionEndReason } from './grant.ts';
export { createSession } from './session.ts';
export type { Session, SessionEvent, SessionOptions, SessionState } from './types.ts';
