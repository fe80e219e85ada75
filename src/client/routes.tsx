import { Navigate, type RouteObject } from 'react-router';
import { GuestsOnly } from './auth/guests-only.tsx';
import { RequireRole } from './auth/require-role.tsx';
import { RequireSession } from './auth/require-session.tsx';
import { Layout } from './layout.tsx';
import { LoginPage } from './pages/login.tsx';
import { NotFoundPage } from './pages/not-found.tsx';
import { RegisterPage } from './pages/register.tsx';
import { lazyPage } from './ui/lazy-page.tsx';

/** Pages that need a session. */
const memberPages: RouteObject[] = [
  { path: '/dashboard', ...lazyPage(() => import('./pages/dashboard.tsx')) },
  { path: '/account', ...lazyPage(() => import('./pages/account.tsx')) },
];

/** Only for admins. Not downloaded ahead of time, when nobody knows yet whether the person is one. */
const adminPages: RouteObject[] = [
  { path: '/admin', element: <Navigate replace to="/admin/people" /> },
  { path: '/admin/people', element: lazyPage(() => import('./admin/people-page.tsx')).element },
  { path: '/admin/people/:id', element: lazyPage(() => import('./admin/person-page.tsx')).element },
  { path: '/admin/audit', element: lazyPage(() => import('./admin/audit-page.tsx')).element },
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

/** The only pages a login may redirect to. */
const memberArea: RouteObject[] = [
  {
    ...lazyPage(() => import('./member-area.tsx')),
    children: [...memberPages, { element: <RequireRole is="admin" />, children: adminPages }],
  },
];

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
