import { matchRoutes, type Path, type RouteObject } from 'react-router';

const HOME = '/dashboard';

export function loginPath({ pathname, search, hash }: Path): string {
  return `/login?${new URLSearchParams({ redirectTo: pathname + search + hash }).toString()}`;
}

/** Returns `redirectTo` if it is one of `pages`, otherwise home. Anyone may have put it into the address bar. */
export function destinationOf(redirectTo: string | null, pages: RouteObject[], { origin } = window.location): string {
  // Parsed as the browser will: it strips tabs and newlines and treats \ as / (WHATWG URL, section 4.4).
  if (!redirectTo?.startsWith('/') || !URL.canParse(redirectTo, origin)) return HOME;
  const url = new URL(redirectTo, origin);
  if (url.origin !== origin) return HOME;
  // The path of `/.//evil.test` is `//evil.test`, which resolves to another origin.
  if (url.pathname.startsWith('//') || matchRoutes(pages, url.pathname) === null) return HOME;
  return url.pathname + url.search + url.hash;
}
