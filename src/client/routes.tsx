import { Navigate, type RouteObject } from 'react-router';
import { GuestsOnly } from './auth/guests-only.tsx';
import { RequireSession } from './auth/require-session.tsx';
import { Layout } from './layout.tsx';
import { LoginPage } from './pages/login.tsx';
import { NotFoundPage } from './pages/not-found.tsx';
import { RegisterPage } from './pages/register.tsx';
import { lazyPage } from './ui/lazy-page.tsx';

/** Pages that need a session, and the only pages a login may redirect to. */
const memberPages: RouteObject[] = [{ path: '/dashboard', ...lazyPage(() => import('./pages/dashboard.tsx')) }];

/**
 * Anyone logged in is redirected to where they were going. Part of the first download, so that a first visit needs no
 * second round trip and logging out works without a network.
 */
const guestPages: RouteObject[] = [
  { path: '/', element: <Navigate replace to="/login" /> },
  { path: '/login', element: <LoginPage /> },
  { path: '/register', element: <RegisterPage /> },
];

const publicPages: RouteObject[] = [{ path: '*', element: <NotFoundPage /> }];

const queries = lazyPage(() => import('./api/query-provider.tsx'));
const memberArea: RouteObject[] = [{ ...queries, children: memberPages }];

export const routes: RouteObject[] = [
  {
    element: <Layout />,
    children: [
      { element: <RequireSession />, children: memberArea },
      { element: <GuestsOnly destinations={memberArea} />, children: guestPages },
      ...publicPages,
    ],
  },
];
