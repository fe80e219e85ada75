import type { CookieOptions, Request, Response } from 'express';

/** Browsers cap cookie lifetimes at this (RFC 6265bis, section 5.5). */
export const COOKIE_MAX_AGE_DAYS = 400;

/** What a request carries. Of `several` values at most one is ours, so none is trusted. */
export type Carried = { kind: 'none' } | { kind: 'one'; token: string } | { kind: 'several' };

/**
 * A cookie that is hidden from scripts and other sites.
 * @param options.production adds Secure and the `__Host-` prefix, which keeps other hosts of the domain from setting
 *   the cookie (RFC 6265bis, section 4.1.3.2)
 */
export function tokenCookie(baseName: string, { production }: { production: boolean }) {
  const name = production ? `__Host-${baseName}` : baseName;
  const attributes: CookieOptions = { httpOnly: true, sameSite: 'strict', path: '/', secure: production };

  return {
    read(request: Request): Carried {
      // Cookie parsers silently drop the second of two values.
      const values = (request.headers.cookie ?? '')
        .split(';')
        // Not `trim`, which also strips U+00A0: a sibling host could set a cookie named that byte plus our name.
        .map((pair) => pair.replace(/^[ \t]+/, ''))
        .filter((pair) => pair.startsWith(`${name}=`))
        .map((pair) => pair.slice(name.length + 1));
      const [token] = values;
      if (token === undefined) return { kind: 'none' };
      return values.length === 1 ? { kind: 'one', token } : { kind: 'several' };
    },

    /** @param lifetime in milliseconds; if undefined, the cookie ends with the browser */
    set(response: Response, token: string, lifetime: number | undefined): void {
      response.cookie(name, token, lifetime === undefined ? attributes : { ...attributes, maxAge: lifetime });
    },

    clear(response: Response): void {
      response.clearCookie(name, attributes);
    },
  };
}
export type TokenCookie = ReturnType<typeof tokenCookie>;
