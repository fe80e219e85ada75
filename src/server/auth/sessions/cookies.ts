import type { CookieOptions, Request, Response } from 'express';

/** What a request carries under the name of a cookie. Two copies mean that somebody else set one: neither is believed. */
export type Carried = { kind: 'none' } | { kind: 'one'; token: string } | { kind: 'several' };

/**
 * A cookie that carries a token of ours, and that no script and no other site gets to see.
 * @param options.production with the `__Host-` prefix, which keeps other hosts of the domain from setting one in its place
 *   (RFC 6265bis, section 4.1.3.2), and only over HTTPS
 */
export function tokenCookie(baseName: string, { production }: { production: boolean }) {
  const name = production ? `__Host-${baseName}` : baseName;
  const attributes: CookieOptions = { httpOnly: true, sameSite: 'strict', path: '/', secure: production };

  return {
    read(request: Request): Carried {
      // Read here and not by a parser of all cookies: those keep the first of two, and we must know that there are two.
      const values = (request.headers.cookie ?? '')
        .split(';')
        // Only what separates pairs. `trim` also removes U+00A0, which is a byte of a name like any other: a sibling host may
        // set a cookie whose name begins with it, and it must not pass for ours.
        .map((pair) => pair.replace(/^[ \t]+/, ''))
        .filter((pair) => pair.startsWith(`${name}=`))
        .map((pair) => pair.slice(name.length + 1));
      const [token] = values;
      if (token === undefined) return { kind: 'none' };
      return values.length === 1 ? { kind: 'one', token } : { kind: 'several' };
    },

    /** @param lifetime milliseconds */
    set(response: Response, token: string, lifetime: number): void {
      response.cookie(name, token, { ...attributes, maxAge: lifetime });
    },

    clear(response: Response): void {
      response.clearCookie(name, attributes);
    },
  };
}
export type TokenCookie = ReturnType<typeof tokenCookie>;
