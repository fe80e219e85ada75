import { randomUUID } from 'node:crypto';
import type { Grant, User } from '../../../shared/auth.ts';
import type { Failure, SessionEndReason } from '../../../shared/failures.ts';
import type { NewMail } from '../../mail/mails.ts';
import { purge } from '../purge.ts';
import { toUser, type Account, type AuthStore, type Ended, type LinkRow } from '../store/auth-store.ts';
import type { Policy, SessionRow } from './rotation.ts';
import type { Tokens } from './tokens.ts';

export interface RefreshToken {
  token: string;
  /** Milliseconds; undefined where the cookie ends with the browser. */
  lifetime: number | undefined;
}

export interface SessionRef {
  sessionId: string;
  userId: string;
}

export interface Issued {
  kind: 'issued';
  grant: Grant;
  cookie: RefreshToken | undefined;
  replaced?: SessionRef | undefined;
}

export interface Authenticated {
  kind: 'authenticated';
  user: User;
  /** `authenticatedAt`: when the person last proved who they are, in milliseconds since the epoch. */
  session: { id: string; authenticatedAt: number };
  /** Milliseconds since the epoch. */
  tokenExpiresAt: number;
}

export interface Failed {
  kind: 'failed';
  failure: Failure;
  /** Set if this call ended the session because its refresh token was reused. */
  reused?: SessionRef;
}

export interface Device {
  userAgent: string | undefined;
  ip: string | undefined;
}

const DEVICE_TEXT_MAX_LENGTH = 256;
/** How long a session may idle that its owner did not ask to be remembered in. */
const UNREMEMBERED_IDLE_MS = 24 * 60 * 60_000;

const sessionEnded = (reason: SessionEndReason): Failed => ({
  kind: 'failed',
  failure: { code: 'session_ended', reason },
});

const failedBecause = ({ reason, byThisCall }: Ended, { sid, sub }: { sid: string; sub: string }): Failed => ({
  ...sessionEnded(reason),
  ...(byThisCall ? { reused: { sessionId: sid, userId: sub } } : {}),
});

/** Verifies tokens, has the store apply the rules of rotation.ts, and signs new tokens. */
export function createSessions(options: {
  store: AuthStore;
  tokens: Tokens;
  policy: Policy;
  accessTokenLifetimeMs: number;
  /** Milliseconds since the epoch. */
  clock: () => number;
}) {
  const { store, tokens, policy, accessTokenLifetimeMs, clock } = options;

  /** @param refreshIssuedAt of the refresh token this access token belongs to, in milliseconds since the epoch */
  function grant(session: SessionRow, user: User, refreshIssuedAt: number, now: number): Grant {
    const lifetime = Math.min(accessTokenLifetimeMs, session.expiresAt - now);
    const iat = now / 1000;
    const accessToken = tokens.signAccess({
      sub: user.id,
      sid: session.id,
      gen: session.generation,
      gat: refreshIssuedAt / 1000,
      role: user.role,
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

  const idleLifetime = ({ remember }: SessionRow) =>
    remember ? policy.refreshTokenLifetimeMs : Math.min(policy.refreshTokenLifetimeMs, UNREMEMBERED_IDLE_MS);

  function issue(session: SessionRow, user: User, now: number): Issued {
    const lifetime = Math.min(idleLifetime(session), session.expiresAt - now);
    const token = tokens.signRefresh({
      sub: user.id,
      sid: session.id,
      gen: session.generation,
      iat: now / 1000,
      exp: (now + lifetime) / 1000,
    });
    const cookie = { token, lifetime: session.remember ? lifetime : undefined };
    return { kind: 'issued', grant: grant(session, user, now, now), cookie };
  }

  function sessionOf(token: string | undefined, verify: Tokens['verifyRefresh']): SessionRef | undefined {
    const verified = token === undefined ? undefined : verify(token, clock());
    if (verified === undefined || verified.kind === 'invalid') return undefined;
    return { sessionId: verified.claims.sid, userId: verified.claims.sub };
  }

  return {
    /**
     * Call it only through `signIn` (sign-in.ts), which requires a proof of identity.
     * @param options.isNew whether the account is to be created in the same atomic step; fails if its username or email is
     *   taken
     * @param options.link of a new account, to verify its email with
     * @param options.replacing refresh token of the previous session in this browser, which ends
     * @param options.mails sent if the session starts
     */
    async start(options: {
      account: Account;
      isNew: boolean;
      link?: LinkRow;
      remember: boolean;
      device: Device;
      replacing?: string | undefined;
      mails?: readonly NewMail[];
    }): Promise<Issued | Failed> {
      const { account, device, remember, mails = [] } = options;
      const user = toUser(account);
      const now = clock();
      const session: SessionRow = {
        id: randomUUID(),
        userId: user.id,
        generation: 1,
        issuedAt: now,
        confirmed: false,
        previousIssuedAt: null,
        createdAt: now,
        lastSeenAt: now,
        authenticatedAt: now,
        remember,
        expiresAt: now + policy.sessionMaxAgeMs,
        endedAt: null,
        endReason: null,
        userAgent: device.userAgent?.slice(0, DEVICE_TEXT_MAX_LENGTH) ?? null,
        ip: device.ip?.slice(0, DEVICE_TEXT_MAX_LENGTH) ?? null,
      };
      const old = sessionOf(options.replacing, tokens.verifyRefresh);
      const first = { session, replacing: old?.sessionId, mails };
      const created = options.isNew
        ? await store.createAccount(account, first, options.link)
        : await store.createSession(first, account);
      if (created.kind === 'overtaken') return { kind: 'failed', failure: { code: 'invalid_credentials' } };
      if (created.kind !== 'created') return { kind: 'failed', failure: { code: created.kind } };
      return { ...issue(session, user, now), replaced: created.replaced ? old : undefined };
    },

    /** @param limit may refuse the session before the store is queried */
    async refresh(token: string, limit: (sessionId: string) => Promise<Failed | undefined>): Promise<Issued | Failed> {
      const now = clock();
      const verified = tokens.verifyRefresh(token, now);
      if (verified.kind !== 'valid') return sessionEnded(verified.kind);
      const { sid, sub, gen, iat } = verified.claims;
      const limited = await limit(sid);
      if (limited !== undefined) return limited;
      const claims = { sessionId: sid, userId: sub, generation: gen, issuedAt: toMilliseconds(iat) };
      const redeemed = await store.redeem(claims, now, policy);
      switch (redeemed.kind) {
        case 'ended':
          return failedBecause(redeemed, verified.claims);
        case 'keep':
          return {
            kind: 'issued',
            grant: grant(redeemed.session, redeemed.user, claims.issuedAt, now),
            cookie: undefined,
          };
        case 'issue':
          return issue(redeemed.session, redeemed.user, now);
      }
    },

    async authenticate(accessToken: string): Promise<Authenticated | Failed> {
      const now = clock();
      const verified = tokens.verifyAccess(accessToken, now);
      if (verified.kind !== 'valid') return { kind: 'failed', failure: { code: `access_token_${verified.kind}` } };
      const { sid, sub, gen, gat, exp } = verified.claims;
      const claims = { sessionId: sid, userId: sub, generation: gen, refreshIssuedAt: toMilliseconds(gat) };
      const authenticated = await store.authenticate(claims, now, policy);
      if (authenticated.kind === 'ended') return failedBecause(authenticated, verified.claims);
      return {
        kind: 'authenticated',
        user: authenticated.user,
        session: { id: authenticated.session.id, authenticatedAt: authenticated.session.authenticatedAt },
        tokenExpiresAt: toMilliseconds(exp),
      };
    },

    /**
     * Returns the session a token belongs to, even if superseded or expired: only its signature counts. A valid
     * refresh token takes precedence over the access token.
     */
    identify(refreshToken: string | undefined, accessToken: string | undefined): SessionRef | undefined {
      return sessionOf(refreshToken, tokens.verifyRefresh) ?? sessionOf(accessToken, tokens.verifyAccess);
    },

    /** The sessions of a user that can still be used, newest use first. */
    async live(userId: string): Promise<SessionRow[]> {
      const now = clock();
      const rows = await store.liveSessions(userId, now);
      // Its tokens may be a little younger than the row says.
      return rows.filter((row) => row.issuedAt + idleLifetime(row) + policy.reuseIntervalMs > now);
    },

    /** Every session of a user that is kept, ended or not, newest first. */
    all: (userId: string): Promise<SessionRow[]> => store.sessionsOf(userId),

    /** Records that the person has just proved who they are, for `sudoProcedure`. */
    reauthenticated: (sessionId: string): Promise<void> => store.setAuthenticatedAt(sessionId, clock()),

    end: ({ sessionId }: SessionRef): Promise<boolean> => store.endSession(sessionId, 'revoked', clock()),

    /** Deletes sessions whose every token has expired. @returns the number of rows deleted */
    async purge(): Promise<number> {
      // A power cut can set `issuedAt` back by up to one lifetime.
      const { refreshTokenLifetimeMs } = policy;
      const before = clock() - refreshTokenLifetimeMs - Math.max(refreshTokenLifetimeMs, accessTokenLifetimeMs);
      let total = 0;
      await purge(async (limit) => {
        const { examined, deleted } = await store.purgeSessions(before, limit);
        total += deleted;
        return examined;
      });
      return total;
    },
  };
}
export type Sessions = ReturnType<typeof createSessions>;

/** Rounded, because the fraction of a NumericDate is not exact. */
const toMilliseconds = (date: number) => Math.round(date * 1000);
