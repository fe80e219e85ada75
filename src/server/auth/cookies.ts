import type { CookieOptions, Request, Response } from 'express';
import type { RefreshToken } from './sessions.ts';

/** What a request carries under the name of our cookie. Two copies mean that somebody else set one: neither is believed. */
export type RefreshCookie = { kind: 'none' } | { kind: 'one'; token: string } | { kind: 'several' };

/**
 * The cookie of the refresh token.
 * @param options.production with the `__Host-` prefix, which keeps other hosts of the domain from setting one in its place
 *   (RFC 6265bis, section 4.1.3.2), and only over HTTPS
 */
export function refreshCookies({ production }: { production: boolean }) {
  const name = production ? '__Host-refreshToken' : 'refreshToken';
  const attributes: CookieOptions = { httpOnly: true, sameSite: 'strict', path: '/', secure: production };

  return {
    read(request: Request): RefreshCookie {
      // Read here and not by a parser of all cookies: those keep the first of two, and we must know that there are two.
      const values = (request.headers.cookie ?? '')
        .split(';')
        .map((pair) => pair.trim())
        .filter((pair) => pair.startsWith(`${name}=`))
        .map((pair) => pair.slice(name.length + 1));
      const [token] = values;
      if (token === undefined) return { kind: 'none' };
      return values.length === 1 ? { kind: 'one', token } : { kind: 'several' };
    },

    set(response: Response, { token, lifetime }: RefreshToken): void {
      response.cookie(name, token, { ...attributes, maxAge: lifetime });
    },

    clear(response: Response): void {
      response.clearCookie(name, attributes);
    },
  };
}
export type RefreshCookies = ReturnType<typeof refreshCookies>;
