import { TRPCClientError, type Operation, type TRPCLink } from '@trpc/client';
import { observable } from '@trpc/server/observable';
import type { AnyRouter } from '@trpc/server';
import type { Failure } from '../../../shared/failures.ts';
import type { Grant as GrantOf, RefreshOutcome as OutcomeOf } from '../session/index.ts';

/** A user type of an app, for `createSession<User>`. */
export interface User {
  id: string;
  username: string;
  email: string;
}
export type Grant = GrantOf<User>;
export type RefreshOutcome = OutcomeOf<User>;

export const person = (name: string): User => ({
  id: `user-${name}`,
  username: name,
  email: `${name}@example.com`,
});

/** A server grant; its token is the secret that tests search for. */
export function grantOf({ sid = 's1', generation = 1, name = 'ann', expiresIn = 900, token = '' } = {}): Grant {
  const accessToken = token || `secret-${sid}-${generation}-${expiresIn}`;
  return { accessToken, expiresIn, session: { id: sid, generation }, user: person(name) };
}

/** The error a link emits when its server refuses with `failure`. */
export function refusal(failure: Failure | undefined, code = 'UNAUTHORIZED'): TRPCClientError<AnyRouter> {
  return TRPCClientError.from({
    error: {
      code: code === 'UNAUTHORIZED' ? -32001 : -32603,
      message: code,
      data: { code, ...(failure && { failure }) },
    },
  });
}

/** Requests that raced with a rotation may still be in flight. */
const REUSE_INTERVAL_MS = 60_000;

interface Cookie {
  sid: string;
  generation: number;
  issuedAt: number;
}

interface Row {
  name: string;
  generation: number;
  issuedAt: number;
  isConfirmed: boolean;
  ended?: 'revoked' | 'reused';
}

/** The session protocol from the client side, with one cookie jar, hence one browser. */
export function fakeServer({ expiresIn = 900, now = (): number => 0 } = {}) {
  const sessions = new Map<string, Row>();
  const tokens = new Map<string, { sid: string; expired: boolean }>();
  const seen = { refreshes: 0, inFlight: 0, mostInFlight: 0, logouts: 0, reuses: 0 };
  const effects = new Map<number, number>();
  let jar: Cookie | undefined;
  let count = 0;

  function grant(sid: string): Grant {
    const { name, generation } = sessions.get(sid)!;
    const accessToken = `secret-${sid}-${generation}-${++count}`;
    tokens.set(accessToken, { sid, expired: false });
    return { accessToken, expiresIn, session: { id: sid, generation }, user: person(name) };
  }

  function end(sid: string | undefined, reason: 'revoked' | 'reused') {
    const row = sid === undefined ? undefined : sessions.get(sid);
    if (row) row.ended ??= reason;
  }

  function redeem(cookie: Cookie | undefined): { outcome: RefreshOutcome; cookie?: Cookie } {
    const row = cookie && sessions.get(cookie.sid);
    if (!cookie || !row) return { outcome: { kind: 'ended', reason: 'none' } };
    if (row.ended) return { outcome: { kind: 'ended', reason: row.ended } };
    const isCurrent = cookie.generation === row.generation;
    if (isCurrent && !row.isConfirmed) Object.assign(row, { isConfirmed: true, issuedAt: cookie.issuedAt });
    const isRecent = now() - row.issuedAt <= REUSE_INTERVAL_MS;
    const isHonoured = isCurrent || (cookie.generation === row.generation - 1 && (!row.isConfirmed || isRecent));
    if (!isHonoured) {
      seen.reuses++;
      end(cookie.sid, 'reused');
      return { outcome: { kind: 'ended', reason: 'reused' } };
    }
    const keeps = isCurrent && row.generation > 1 && isRecent;
    if (isCurrent && !keeps)
      Object.assign(row, { generation: row.generation + 1, issuedAt: now(), isConfirmed: false });
    return {
      outcome: { kind: 'granted', grant: grant(cookie.sid) },
      ...(!keeps && { cookie: { sid: cookie.sid, generation: row.generation, issuedAt: now() } }),
    };
  }

  return {
    seen,
    effects,
    sessions,
    sidOf: (token: string) => tokens.get(token)?.sid,
    /** Responds like `auth.login`; ends the session of the current cookie. */
    logIn(name: string): Grant {
      end(jar?.sid, 'revoked');
      const sid = `s${sessions.size + 1}`;
      sessions.set(sid, { name, generation: 1, issuedAt: now(), isConfirmed: false });
      jar = { sid, generation: 1, issuedAt: now() };
      return grant(sid);
    },
    /** @param network delays the request and its response; throws to lose either */
    refresh: (network: (leg: 'request' | 'answer') => Promise<unknown> = async () => undefined) =>
      async function refresh({ signal }: { signal: AbortSignal }): Promise<RefreshOutcome> {
        const sent = jar;
        seen.refreshes++;
        seen.mostInFlight = Math.max(seen.mostInFlight, ++seen.inFlight);
        const onAbort = () => seen.inFlight--;
        signal.addEventListener('abort', onAbort, { once: true });
        try {
          await network('request');
          signal.throwIfAborted();
          const { outcome, cookie } = redeem(sent);
          await network('answer');
          signal.throwIfAborted();
          if (cookie) jar = cookie;
          return outcome;
        } finally {
          signal.removeEventListener('abort', onAbort);
          if (!signal.aborted) seen.inFlight--;
        }
      },
    logout: (network: () => Promise<unknown> = async () => undefined) =>
      async function logout({ signal }: { signal: AbortSignal }): Promise<void> {
        const sent = jar;
        seen.logouts++;
        await network();
        end(sent?.sid, 'revoked');
        await network();
        signal.throwIfAborted();
        if (jar?.sid === sent?.sid) jar = undefined;
      },
    /** Undefined if the server runs the call. */
    refuses(authorization: string | undefined): Failure | undefined {
      if (authorization === undefined) return { code: 'access_token_missing' };
      const token = tokens.get(authorization.replace('Bearer ', ''));
      if (!token) return { code: 'access_token_invalid' };
      const reason = sessions.get(token.sid)?.ended;
      if (reason) return { code: 'session_ended', reason };
      return token.expired ? { code: 'access_token_expired' } : undefined;
    },
    expire() {
      for (const token of tokens.values()) token.expired = true;
    },
    /** "Log out everywhere", or a changed password. */
    revokeAll() {
      for (const sid of sessions.keys()) end(sid, 'revoked');
    },
    cookie: () => jar,
    clearCookie() {
      jar = undefined;
    },
  };
}

type Headers = (o: { op: Operation }) => unknown;
export interface Sent {
  op: Operation;
  authorization: string | undefined;
  isCancelled: () => boolean;
  next: (data: unknown, id?: string) => void;
  state: (result: { type: 'started' } | { type: 'state'; state: 'connecting' | 'pending'; error: null }) => void;
  fail: (error: TRPCClientError<AnyRouter>) => void;
  complete: () => void;
}

/** A terminating link that hands each attempt to `answer`, with its headers, one microtask after subscription. */
export function endingLink(headers: Headers, answer: (sent: Sent) => void): TRPCLink<AnyRouter> {
  return () =>
    ({ op }) =>
      observable((observer) => {
        let isCancelled = false;
        queueMicrotask(() => {
          if (isCancelled) return;
          const { authorization } = headers({ op }) as { authorization?: string };
          answer({
            op,
            authorization,
            isCancelled: () => isCancelled,
            next: (data, id) => observer.next({ result: id === undefined ? { data } : { id, data } }),
            state: (result) => observer.next({ result }),
            fail: (error) => observer.error(error),
            complete: () => observer.complete(),
          });
        });
        return () => {
          // Like httpSubscriptionLink, which completes when unsubscribed.
          if (op.type === 'subscription') observer.complete();
          isCancelled = true;
        };
      });
}
