import { randomUUID } from 'node:crypto';
import type { Grant, User } from '../../../shared/auth.ts';
import type { Failure, SessionEndReason } from '../../../shared/failures.ts';
import type { Policy, SessionRow } from './rotation.ts';
import { purge } from '../purge.ts';
import type { NewPerson } from '../accounts.ts';
import type { AuthStore, Ended } from '../store/auth-store.ts';
import type { Tokens } from './tokens.ts';

/** A person who called, and the session that they called with. */
export interface Principal {
  user: User;
  session: { id: string };
}

/** A refresh token for the cookie. `lifetime` in milliseconds. */
export interface RefreshToken {
  token: string;
  lifetime: number;
}

/** A grant, and the cookie that goes with it; none where the browser's is to stay. */
export interface Issued {
  grant: Grant;
  cookie: RefreshToken | undefined;
  /** The session that this one took the place of. */
  replaced?: SessionRef | undefined;
}

export interface Failed {
  failure: Failure;
  /** The session that this very call found in two hands, and ended. */
  reused?: SessionRef;
}

export interface SessionRef {
  sessionId: string;
  userId: string;
}

/** Where a session was started: for its owner, to tell their sessions apart. */
export interface Device {
  userAgent: string | undefined;
  ip: string | undefined;
}

/** How much is kept of what a client says about itself. In characters. */
const TEXT_MAX_LENGTH = 256;

const sessionEnded = (reason: SessionEndReason): Failed => ({ failure: { code: 'session_ended', reason } });

const endedBy = ({ reason, now }: Ended, { sid, sub }: { sid: string; sub: string }): Failed => ({
  ...sessionEnded(reason),
  ...(now ? { reused: { sessionId: sid, userId: sub } } : {}),
});

/** The session protocol put together: tokens in, rows judged and changed by the store, tokens out. */
export function createSessions(options: {
  store: AuthStore;
  tokens: Tokens;
  policy: Policy;
  /** Milliseconds. */
  accessTokenLifetime: number;
  /** Milliseconds since the epoch. */
  clock: () => number;
}) {
  const { store, tokens, policy, accessTokenLifetime, clock } = options;

  /** @param date of the copy that the access token comes with, in milliseconds since the epoch */
  function grant(session: SessionRow, user: User, date: number, now: number): Grant {
    const lifetime = Math.min(accessTokenLifetime, session.expiresAt - now);
    const iat = now / 1000;
    const accessToken = tokens.signAccess({
      sub: user.id,
      sid: session.id,
      gen: session.generation,
      gat: date / 1000,
      iat,
      exp: iat + lifetime / 1000,
    });
    return {
      accessToken,
      expiresIn: lifetime / 1000,
      session: { id: session.id, generation: session.generation },
      user,
    };
  }

  /** A copy of the session's generation, dated now, with an access token. */
  function issue(session: SessionRow, user: User, now: number): Issued {
    const lifetime = Math.min(policy.refreshTokenLifetime, session.expiresAt - now);
    const token = tokens.signRefresh({
      sub: user.id,
      sid: session.id,
      gen: session.generation,
      iat: now / 1000,
      exp: (now + lifetime) / 1000,
    });
    return { grant: grant(session, user, now, now), cookie: { token, lifetime } };
  }

  /** The session that a token of ours names, be it superseded or expired. */
  function named(token: string | undefined, verify: Tokens['verifyRefresh']): SessionRef | undefined {
    const verified = token === undefined ? undefined : verify(token, clock());
    if (verified === undefined || verified.kind === 'invalid') return undefined;
    return { sessionId: verified.claims.sid, userId: verified.claims.sub };
  }

  function newSession(user: User, device: Device, now: number): SessionRow {
    return {
      id: randomUUID(),
      userId: user.id,
      generation: 1,
      issuedAt: now,
      proved: false,
      previousIssuedAt: null,
      createdAt: now,
      lastSeenAt: now,
      expiresAt: now + policy.sessionMaxAge,
      endedAt: null,
      endReason: null,
      userAgent: device.userAgent?.slice(0, TEXT_MAX_LENGTH) ?? null,
      ip: device.ip?.slice(0, TEXT_MAX_LENGTH) ?? null,
    };
  }

  return {
    /**
     * Starts a session. Whoever calls this has proved who they are: see sign-in.ts, the one door.
     * @param inPlaceOf the refresh token that came along; its session ends
     */
    async start(user: User, device: Device, inPlaceOf: string | undefined): Promise<Issued> {
      const now = clock();
      const session = newSession(user, device, now);
      const old = named(inPlaceOf, tokens.verifyRefresh);
      const replaced = await store.createSession(session, old?.sessionId);
      return { ...issue(session, user, now), replaced: replaced ? old : undefined };
    },

    /** The same for somebody whose account is created with it: both or neither. */
    async startFirst(
      { user, account }: NewPerson,
      device: Device,
      inPlaceOf: string | undefined,
    ): Promise<Issued | Failed> {
      const now = clock();
      const session = newSession(user, device, now);
      const old = named(inPlaceOf, tokens.verifyRefresh);
      const created = await store.createAccount(account, { session, inPlaceOf: old?.sessionId });
      if (created.kind !== 'created') return { failure: { code: created.kind } };
      return { ...issue(session, user, now), replaced: created.replaced ? old : undefined };
    },

    /**
     * Redeems a refresh token.
     * @param limit may refuse the session, once it is known which it is
     */
    async refresh(token: string, limit: (sessionId: string) => Promise<Failed | undefined>): Promise<Issued | Failed> {
      const now = clock();
      const verified = tokens.verifyRefresh(token, now);
      if (verified.kind === 'invalid') return sessionEnded('invalid');
      if (verified.kind === 'expired') return sessionEnded('expired');
      const { sid, sub, gen, iat } = verified.claims;
      const limited = await limit(sid);
      if (limited !== undefined) return limited;
      const date = toMilliseconds(iat);
      const redeemed = await store.redeem({ sessionId: sid, userId: sub, generation: gen, date }, now, policy);
      switch (redeemed.kind) {
        case 'ended':
          return endedBy(redeemed, verified.claims);
        case 'rest':
          return { grant: grant(redeemed.session, redeemed.user, date, now), cookie: undefined };
        case 'fresh':
          return issue(redeemed.session, redeemed.user, now);
      }
    },

    /** Who a protected call comes from. @param accessToken as it stood behind `Bearer` */
    async recognize(accessToken: string): Promise<Principal | Failed> {
      const now = clock();
      const verified = tokens.verifyAccess(accessToken, now);
      if (verified.kind === 'invalid') return { failure: { code: 'access_token_invalid' } };
      if (verified.kind === 'expired') return { failure: { code: 'access_token_expired' } };
      const { sid, sub, gen, gat } = verified.claims;
      const call = { sessionId: sid, userId: sub, generation: gen, date: toMilliseconds(gat) };
      const recognized = await store.recognize(call, now, policy);
      if (recognized.kind === 'ended') return endedBy(recognized, verified.claims);
      return { user: recognized.user, session: { id: recognized.session.id } };
    },

    /**
     * The session that a token names, be the token superseded or expired: only the signature counts. The refresh token
     * decides where there is one, else the access token.
     */
    named(refreshToken: string | undefined, accessToken: string | undefined): SessionRef | undefined {
      return named(refreshToken, tokens.verifyRefresh) ?? named(accessToken, tokens.verifyAccess);
    },

    /** @returns whether this call ended it */
    end: ({ sessionId }: SessionRef): Promise<boolean> => store.endSession(sessionId, 'revoked', clock()),

    /** Removes the sessions that nobody can use any more. @returns how many */
    purge(): Promise<number> {
      // Twice: a power cut may have set a row back by as much as one lifetime.
      const before = clock() - 2 * policy.refreshTokenLifetime;
      return purge((limit) => store.purgeSessions(before, limit));
    },
  };
}
export type Sessions = ReturnType<typeof createSessions>;

/** A NumericDate in whole milliseconds, which is how we make them. */
const toMilliseconds = (date: number) => Math.round(date * 1000);
