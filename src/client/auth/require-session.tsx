import { Navigate, Outlet, useLocation } from 'react-router';
import { Loading } from '../ui/loading.tsx';
import { Reconnecting, Starting } from './connection.tsx';
import { loginPath } from './redirect-to.ts';
import { useSession } from './use-session.ts';

/** Shows the pages below to people who are signed in, and leads guests to the login page and back afterwards. */
export function RequireSession() {
  const state = useSession();
  const location = useLocation();
  switch (state.status) {
    case 'unknown':
      return <Starting />;
    case 'signed-out':
      // Stays at this address, which the new document is loading.
      if (state.reason === 'replaced') return <Loading />;
      // Whoever logs in after a logout may be somebody else, and starts at the start page.
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
