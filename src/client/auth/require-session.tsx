import { Navigate, Outlet, useLocation } from 'react-router';
import { Loading } from '../ui/loading.tsx';
import { Reconnecting, Starting } from './connection.tsx';
import { loginPath } from './redirect-to.ts';
import { useSession } from './use-session.ts';

/** Sends guests to the login page, and back here afterwards. */
export function RequireSession() {
  const state = useSession();
  const location = useLocation();
  switch (state.status) {
    case 'unknown':
      return <Starting />;
    case 'signed-out':
      // The new document is loading this address.
      if (state.reason === 'replaced') return <Loading />;
      // The next login may be somebody else's, so it starts at the home page.
      return <Navigate replace to={state.reason === 'logout' ? '/login' : loginPath(location)} />;
    case 'signed-in':
      return (
        <>
          {state.stale && <Reconnecting />}
          <Outlet />
        </>
      );
  }
}
