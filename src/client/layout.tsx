import { type MouseEvent, Suspense, useEffect, useRef } from 'react';
import { Link, Outlet, useLocation } from 'react-router';
import { LogOutButton } from './auth/log-out-button.tsx';
import { useSession } from './auth/use-session.ts';
import { Loading } from './ui/loading.tsx';

export function Layout() {
  const main = useFocusOnNavigation();
  const signedIn = useSession().status === 'signed-in';

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
        <nav aria-label="Main" className="mx-auto flex min-h-17 max-w-5xl items-center justify-between gap-4 px-5">
          <Link to="/" className="flex min-h-11 items-center gap-3 rounded-lg font-display text-xl font-semibold">
            <img src="/latchkey.svg" alt="" width="32" height="32" />
            Latchkey
          </Link>
          {signedIn && <LogOutButton />}
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
