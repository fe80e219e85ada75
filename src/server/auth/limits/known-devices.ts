import { randomUUID } from 'node:crypto';
import type { Request, Response } from 'express';
import type { TokenCookie } from '../sessions/cookies.ts';
import { identifierOf } from './throttle.ts';
import type { Tokens } from '../sessions/tokens.ts';

/** Browsers keep no cookie for longer. In milliseconds. */
const LIFETIME = 400 * 24 * 60 * 60_000;

/**
 * Remembers in which browsers an account was signed in to, by a signed cookie. It opens nothing: guesses from such a browser
 * are counted apart, so that somebody who guesses elsewhere cannot keep the owner waiting (OWASP, device cookies).
 */
export function createDevices(options: { cookie: TokenCookie; tokens: Tokens; clock: () => number }) {
  const { cookie, tokens, clock } = options;

  /** @returns the browser's id, if the account was signed in to from it */
  function idFor(request: Request, email: string): string | undefined {
    const carried = cookie.read(request);
    if (carried.kind !== 'one') return undefined;
    const verified = tokens.verifyDevice(carried.token, clock());
    return verified.kind === 'valid' && verified.claims.sub === identifierOf(email) ? verified.claims.jti : undefined;
  }

  return {
    idFor,
    /** After signing in. One browser remembers one account: the last. */
    remember(request: Request, response: Response, email: string): void {
      if (idFor(request, email) !== undefined) return;
      const iat = clock() / 1000;
      const claims = { sub: identifierOf(email), jti: randomUUID(), iat, exp: iat + LIFETIME / 1000 };
      cookie.set(response, tokens.signDevice(claims), LIFETIME);
    },
  };
}
export type Devices = ReturnType<typeof createDevices>;
