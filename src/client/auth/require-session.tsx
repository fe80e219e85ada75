import { Navigate, Outlet, useLocation } from 'react-router';
import { loginPath } from './redirect-to.ts';
import { Reconnecting, Starting } from './connection.tsx';
import { useSession } from './use-session.ts';

/** Shows the pages below to people who are logged in; leads guests to the login page, and back afterwards. */
export function RequireSession() {
  const state = useSession();
  const location = useLocation();
  switch (state.status) {
    case 'unknown':
      return <Starting />;
    case 'signed-out':
      // Whoever logs in after a logout may be somebody else, and starts where everybody does.
      return <Navigate replace to={state.reason === 'logout' ? '/login' : loginPath(location)} />;
    case 'signed-in':
      return (
        <>
          {state.stale && <Reconnecting />}
          {/* Another person logged in, in another tab: nothing of the first one's pages may stay. */}
          <Outlet key={state.user.id} />
        </>
      );
  }
}
