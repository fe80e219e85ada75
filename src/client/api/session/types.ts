import type { SessionEnvironment } from './environment.ts';
import type { Grant, Person, RefreshOutcome, SessionEndReason } from './grant.ts';
import type { Lead } from './token.ts';

export interface SessionOptions<TUser extends Person = Person> {
  /** Redeems the cookie: a plain request, never through a client that waits for this session, and without `keepalive`. */
  refresh(o: { signal: AbortSignal }): Promise<RefreshOutcome<TUser>>;
  /** Ends the session on the server; rejects if the server could not be told. */
  logout(o: { signal: AbortSignal }): Promise<void>;
  /** Of the channel and the marker, which the tabs of one app share. Default: `latchkey`. */
  name?: string;
  /** When a refresh or a logout is given up. Default: 10,000. */
  refreshTimeoutMs?: number;
  /** Refreshing ahead of time while the page is visible. */
  proactive?: false | Lead;
  /** The pause after a failed refresh; doubles with each failure. */
  cooldown?: { baseMs: number; maxMs: number };
  /**
   * False spares guests a refused request, if the app can tell that there is no cookie; true says that there is one, even
   * if the session that this browser was in has ended. By default the server is asked, unless that session has ended.
   */
  refreshOnFirstVisit?: boolean;
  environment?: Partial<SessionEnvironment>;
  /** Tells why a refresh or a sign-out happened; for logs. */
  onEvent?(event: SessionEvent): void;
}

export type SessionState<TUser extends Person = Person> =
  | { status: 'unknown' }
  /** `stale`: the token is dead and could not be renewed yet. */
  | { status: 'signed-in'; user: TUser; session: { id: string; generation: number }; stale: boolean }
  /** `reason`: a `SessionEndReason`, `logout`, `replaced` (a new document is loading), or absent for a guest. */
  | { status: 'signed-out'; reason?: string };

export type SessionEvent =
  | { kind: 'refreshing'; why: 'no token' | 'expired' | 'refused' | 'ahead of time' }
  | { kind: 'refreshed'; generation: number }
  | { kind: 'signed-out'; reason: string }
  | UnavailableRenewal;

export interface Session<TUser extends Person = Person> {
  /** The same object until it changes. */
  readonly state: SessionState<TUser>;
  /** Returns a function that unsubscribes. */
  subscribe(listener: () => void): () => void;
  /** Signs in silently, with the cookie. Settles with the first refresh, whatever its outcome; never rejects. */
  start(): Promise<void>;
  /** Takes the grant of a sign-in, or throws a TypeError. A page that has known a session loads a new document, at `url`. */
  signIn(grant: Grant<TUser>, url?: string): void;
  /** Signs out at once. Resolves when the server was told, or could not be, which is remembered and tried again. */
  signOut(): Promise<void>;
  /** A usable token, refreshed if need be. Rejects if nobody is signed in, or if the session `isUnavailable`. */
  accessToken(): Promise<string>;
  /** Until the access token expires; not positive once it has, undefined without one. */
  tokenExpiresInMs(): number | undefined;
  /** The server says, other than by a refresh, that the session `sessionId` has ended. Other tabs hear of it. */
  ended(reason: SessionEndReason, sessionId: string): void;
  /** The data of the person signed in has changed. */
  userChanged(user: TUser): void;
  /** Tries now what would be tried again after a pause: somebody does not want to wait. */
  retry(): void;
  dispose(): void;
}

/** The result of waiting for a usable token. */
export type Renewal = { kind: 'ready' | 'ended' | 'disposed' } | UnavailableRenewal;
export interface UnavailableRenewal {
  kind: 'unavailable';
  retryAfterMs: number;
  cause?: unknown;
}

/** What only the link may use. The *token version* counts the tokens of the page, from 1; 0: no token. */
export interface Internals {
  /** The token to send now, if any. */
  bearer(): { accessToken: string; tokenVersion: number } | undefined;
  /** Whether an operation has to wait for `renew` before it is sent. */
  needsRenewal(): boolean;
  /**
   * Gets a usable token that is newer than the one of version `tokenVersion`, which was refused or has expired.
   * @param isFinal it was refused although it had been renewed for that, so that another one is not worth asking for yet
   */
  renew(tokenVersion: number, isFinal?: boolean): Promise<Renewal>;
  /** Calls `run` once, at the next token or when there will be none; retries in a hidden tab too until cancelled. */
  onceRenewed(run: () => void): () => void;
  /** The session has ended here, or there is none. */
  isOver(): boolean;
  /** The token of that version is too young to have expired. */
  isFresh(tokenVersion: number): boolean;
}
