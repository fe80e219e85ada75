import { Navigate, type RouteObject } from 'react-router';
import { GuestsOnly } from './auth/guests-only.tsx';
import { LoginPage } from './pages/login.tsx';
import { RegisterPage } from './pages/register.tsx';
import { RequireSession } from './auth/require-session.tsx';
import { DashboardPage } from './pages/dashboard.tsx';
import { Layout } from './layout.tsx';
import { NotFoundPage } from './pages/not-found.tsx';

/** Pages for people who are logged in. Also the only ones that a login may lead back to. */
const memberPages: RouteObject[] = [{ path: '/dashboard', element: <DashboardPage /> }];

/** Pages for people who are not; the others are led on to where they wanted to go. */
const guestPages: RouteObject[] = [
  { path: '/', element: <Navigate replace to="/login" /> },
  { path: '/login', element: <LoginPage /> },
  { path: '/register', element: <RegisterPage /> },
];

/** Pages for everybody. */
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
