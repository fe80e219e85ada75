import { Navigate, Outlet, type RouteObject, useSearchParams } from 'react-router';
import { Loading } from '../ui/loading.tsx';
import { Starting } from './connection.tsx';
import { destinationOf } from './redirect-to.ts';
import { useSession } from './use-session.ts';

/**
 * Shows the pages below to guests, and leads those who are signed in on to where they wanted to go: at once, or as soon as a
 * sign-in on one of these pages succeeds, so no page has to do that itself.
 */
export function GuestsOnly({ destinations }: { destinations: RouteObject[] }) {
  const state = useSession();
  const [params] = useSearchParams();
  switch (state.status) {
    case 'unknown':
      return <Starting />;
    case 'signed-out':
      return state.reason === 'replaced' ? <Loading /> : <Outlet />;
    case 'signed-in':
      return <Navigate replace to={destinationOf(params.get('redirectTo'), destinations)} />;
  }
}
