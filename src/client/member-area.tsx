import { Outlet, useLocation } from 'react-router';
import { QueryProvider } from './api/query-provider.tsx';
import { ReauthenticateDialog } from './auth/reauthenticate-dialog.tsx';
import { VerificationBanner } from './email-verification/banner.tsx';

/** What all pages for members have, and guests need not download. */
export default function MemberArea() {
  const { pathname } = useLocation();
  return (
    <QueryProvider>
      {/* The account page says the same where it shows the email. */}
      {pathname !== '/account' && <VerificationBanner />}
      <Outlet />
      <ReauthenticateDialog />
    </QueryProvider>
  );
}
