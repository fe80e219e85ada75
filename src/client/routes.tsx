import { Navigate, type RouteObject } from 'react-router';
import { GuestsOnly } from './auth/guests-only.tsx';
import { RequireSession } from './auth/require-session.tsx';
import { Layout } from './layout.tsx';
import { DashboardPage } from './pages/dashboard.tsx';
import { LoginPage } from './pages/login.tsx';
import { NotFoundPage } from './pages/not-found.tsx';
import { RegisterPage } from './pages/register.tsx';

/** Pages that need a session, and the only pages a login may redirect to. */
const memberPages: RouteObject[] = [{ path: '/dashboard', element: <DashboardPage /> }];

/** Pages for guests. Anybody who is logged in is redirected to where they were going. */
const guestPages: RouteObject[] = [
  { path: '/', element: <Navigate replace to="/login" /> },
  { path: '/login', element: <LoginPage /> },
  { path: '/register', element: <RegisterPage /> },
];

/** Pages for everyone. */
const publicPages: RouteObject[] = [{ path: '*', element: <NotFoundPage /> }];

export const routes: RouteObject[] = [
  {
    element: <Layout />,
    children: [
      { element: <RequireSession />, children: memberPages },
      { element: <GuestsOnly destinations={memberPages} />, children: guestPages },
      ...publicPages,
    ],
  },
];
