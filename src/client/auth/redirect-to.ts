import { matchRoutes, type Path, type RouteObject } from 'react-router';

const HOME = '/dashboard';

/** The address of the login page that leads back to `location` afterwards. */
export function loginPath({ pathname, search, hash }: Path): string {
  return `/login?${new URLSearchParams({ redirectTo: pathname + search + hash }).toString()}`;
}

/**
 * Where to go after logging in: `redirectTo` if it is one of `pages`, otherwise the home page. The value comes from the
 * address bar, so anybody may have written it.
 * @returns a path of this app, with query and hash
 */
export function destinationOf(redirectTo: string | null, pages: RouteObject[], { origin } = window.location): string {
  // Parsed as the browser will parse it: it removes tabs and newlines, and treats \ as / (WHATWG URL, section 4.4).
  if (!redirectTo?.startsWith('/') || !URL.canParse(redirectTo, origin)) return HOME;
  const url = new URL(redirectTo, origin);
  if (url.origin !== origin) return HOME;
  // `/.//evil.test` has the path `//evil.test`, which means another origin once it is resolved again.
  if (url.pathname.startsWith('//') || matchRoutes(pages, url.pathname) === null) return HOME;
  return url.pathname + url.search + url.hash;
}
