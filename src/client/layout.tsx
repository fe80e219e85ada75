import { type MouseEvent, Suspense, useEffect, useRef } from 'react';
import { Link, NavLink, Outlet, useLocation } from 'react-router';
import type { Role } from '../shared/auth.ts';
import { LogOutButton } from './auth/log-out-button.tsx';
import { useSession } from './auth/use-session.ts';
import { Loading } from './ui/loading.tsx';

/** Links in the header for members, or only for those with a role. */
const links: { to: string; label: string; role?: Role }[] = [
  { to: '/admin', label: 'Admin', role: 'admin' },
  { to: '/account', label: 'Account' },
];

export function Layout() {
  const main = useFocusOnNavigation();
  const state = useSession();

  // Following the link would navigate the router and leave #main in the address bar.
  const skip = (event: MouseEvent) => {
    event.preventDefault();
    main.current?.focus();
  };

  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        onClick={skip}
        className="sr-only focus:not-sr-only focus:absolute focus:top-3 focus:left-3 focus:z-10 focus:rounded-lg focus:bg-ink focus:px-4 focus:py-3 focus:font-medium focus:text-surface"
      >
        Skip to content
      </a>
      <header className="border-b border-line">
        <nav aria-label="Main" className="mx-auto flex min-h-17 max-w-5xl items-center justify-between gap-4 px-5 py-2">
          <Link to="/" className="flex min-h-11 items-center gap-3 rounded-lg font-display text-xl font-semibold">
            <img src="/latchkey.svg" alt="" width="32" height="32" />
            <span className="max-[24rem]:sr-only">Latchkey</span>
          </Link>
          {state.status === 'signed-in' && (
            <div className="flex flex-wrap items-center justify-end gap-x-5">
              {links
                .filter(({ role }) => role === undefined || role === state.user.role)
                .map(({ to, label }) => (
                  <NavLink
                    key={to}
                    to={to}
                    className="rounded-sm py-2.5 font-medium decoration-brass decoration-2 underline-offset-4 hover:underline aria-[current=page]:underline"
                  >
                    {label}
                  </NavLink>
                ))}
              <LogOutButton />
            </div>
          )}
        </nav>
      </header>
      <main
        ref={main}
        id="main"
        tabIndex={-1}
        className="mx-auto flex w-full max-w-5xl grow flex-col px-5 py-10 outline-none sm:py-16"
      >
        {/* Above the pages, so that navigating keeps the old page until the new one has been downloaded. */}
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}

/** Moves the focus to the heading of a new page, so that screen readers announce it like a page load. */
function useFocusOnNavigation() {
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const announced = useRef(pathname);
  useEffect(() => {
    // The browser announces the first page itself, and the first Tab there must reach the skip link.
    if (announced.current === pathname) return;
    announced.current = pathname;
    main.current?.querySelector('h1')?.focus();
  }, [pathname]);
  return main;
}
