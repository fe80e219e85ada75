import { Navigate, Outlet, type RouteObject, useSearchParams } from 'react-router';
import { Loading } from '../ui/loading.tsx';
import { preloadPage } from '../ui/lazy-page.tsx';
import { Starting } from './connection.tsx';
import { destinationOf } from './redirect-to.ts';
import { useSession } from './use-session.ts';

/**
 * Guest pages. Redirects anyone signed in, right away or once a form on one of these pages succeeds, so that no page
 * has to.
 */
export function GuestsOnly({ destinations }: { destinations: RouteObject[] }) {
  const state = useSession();
  const [params] = useSearchParams();
  const destination = destinationOf(params.get('redirectTo'), destinations);
  // In parallel with the password check.
  const preload = () => preloadPage(destinations, new URL(destination, window.location.origin).pathname);
  switch (state.status) {
    case 'unknown':
      return <Starting />;
    case 'signed-out':
      if (state.reason === 'replaced') return <Loading />;
      return (
        <div className="contents" onSubmit={preload}>
          <Outlet />
        </div>
      );
    case 'signed-in':
      return (
        <>
          <Navigate replace to={destination} />
          <Loading />
        </>
      );
  }
}
