import { randomUUID } from 'node:crypto';
import type { Request, Response } from 'express';
import { COOKIE_MAX_AGE_DAYS, type TokenCookie } from '../sessions/cookies.ts';
import type { Tokens } from '../sessions/tokens.ts';
import { accountKey } from './throttle.ts';

const LIFETIME_MS = COOKIE_MAX_AGE_DAYS * 24 * 60 * 60_000;

/**
 * Marks browsers that have logged in to an account, with a signed cookie. It grants no access: password attempts from
 * such a browser are counted separately, so that an attacker cannot lock the owner out (OWASP, "Device Cookies").
 */
export function createDevices(options: { cookie: TokenCookie; tokens: Tokens; clock: () => number }) {
  const { cookie, tokens, clock } = options;

  /** @returns the ID of the browser, if this account was the last to log in there */
  function idFor(request: Request, email: string): string | undefined {
    const carried = cookie.read(request);
    if (carried.kind !== 'one') return undefined;
    const verified = tokens.verifyDevice(carried.token, clock());
    return verified.kind === 'valid' && verified.claims.sub === accountKey(email) ? verified.claims.jti : undefined;
  }

  return {
    idFor,
    remember(request: Request, response: Response, email: string): void {
      if (idFor(request, email) !== undefined) return;
      const iat = clock() / 1000;
      const claims = { sub: accountKey(email), jti: randomUUID(), iat, exp: iat + LIFETIME_MS / 1000 };
      cookie.set(response, tokens.signDevice(claims), LIFETIME_MS);
    },
  };
}
