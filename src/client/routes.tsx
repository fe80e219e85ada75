import { Navigate, type RouteObject } from 'react-router';
import { GuestsOnly } from './auth/guests-only.tsx';
import { RequireSession } from './auth/require-session.tsx';
import { Layout } from './layout.tsx';
import { LoginPage } from './pages/login.tsx';
import { NotFoundPage } from './pages/not-found.tsx';
import { RegisterPage } from './pages/register.tsx';
import { lazyPage } from './ui/lazy-page.tsx';

/** Pages that need a session, and the only pages a login may redirect to. */
const memberPages: RouteObject[] = [
  { path: '/dashboard', ...lazyPage(() => import('./pages/dashboard.tsx')) },
  { path: '/account', ...lazyPage(() => import('./pages/account.tsx')) },
];

/**
 * Anyone logged in is redirected to where they were going. Part of the first download, so that a first visit needs no
 * second round trip and logging out works without a network.
 */
const guestPages: RouteObject[] = [
  { path: '/', element: <Navigate replace to="/login" /> },
  { path: '/login', element: <LoginPage /> },
  { path: '/register', element: <RegisterPage /> },
];

/** For guests and members alike. */
const publicPages: RouteObject[] = [
  { path: '/forgot-password', ...lazyPage(() => import('./pages/forgot-password.tsx')) },
  { path: '/reset-password', ...lazyPage(() => import('./pages/reset-password.tsx')) },
  { path: '/verify-email', ...lazyPage(() => import('./pages/verify-email.tsx')) },
  { path: '/confirm-email', ...lazyPage(() => import('./pages/confirm-email.tsx')) },
  { path: '*', element: <NotFoundPage /> },
];

const memberArea: RouteObject[] = [{ ...lazyPage(() => import('./member-area.tsx')), children: memberPages }];

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
