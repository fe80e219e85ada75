import { Navigate, Outlet, type RouteObject, useSearchParams } from 'react-router';
import { Starting } from './connection.tsx';
import { destinationOf } from './redirect-to.ts';
import { useSession } from './use-session.ts';

/**
 * Shows the pages below to guests. Whoever is logged in is led on: at once, or as soon as the login below succeeds, so no
 * page has to do that by itself.
 */
export function GuestsOnly({ destinations }: { destinations: RouteObject[] }) {
  const state = useSession();
  const [params] = useSearchParams();
  switch (state.status) {
    case 'unknown':
      return <Starting />;
    case 'signed-out':
      return <Outlet />;
    case 'signed-in':
      return <Navigate replace to={destinationOf(params.get('redirectTo'), destinations)} />;
  }
}
