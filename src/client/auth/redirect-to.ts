import { matchRoutes, type Path, type RouteObject } from 'react-router';

const HOME = '/dashboard';

/** The login page, which leads back to where the guest wanted to go. */
export function loginPath({ pathname, search, hash }: Path): string {
  return `/login?${new URLSearchParams({ redirectTo: pathname + search + hash }).toString()}`;
}

/**
 * Where to go after logging in. `redirectTo` comes from the address, so anybody can have written it: only a page of this
 * app will do, everything else means home.
 */
export function destinationOf(redirectTo: string | null, pages: RouteObject[], { origin } = window.location): string {
  // Judged by the browser's own parser, for it is the one that would follow it: it drops tabs and takes \ for /.
  if (!redirectTo?.startsWith('/') || !URL.canParse(redirectTo, origin)) return HOME;
  const url = new URL(redirectTo, origin);
  if (url.origin !== origin) return HOME;
  // `/.//evil.test` is a path of ours, `//evil.test`, but another origin to whoever resolves it once more.
  if (url.pathname.startsWith('//') || matchRoutes(pages, url.pathname) === null) return HOME;
  return url.pathname + url.search + url.hash;
}
