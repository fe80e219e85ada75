import { Outlet } from 'react-router';
import type { Role } from '../../shared/auth.ts';
import { Page } from '../ui/page.tsx';
import { TextLink } from '../ui/text-link.tsx';
import { useSession } from './use-session.ts';

/**
 * Pages for members with one of these roles; belongs within `RequireSession`. The server decides: this spares others a broken
 * page.
 */
export function RequireRole({ is: allowed }: { is: Role | readonly Role[] }) {
  const state = useSession();
  if (state.status !== 'signed-in') return null;
  if ([allowed].flat().includes(state.user.role)) return <Outlet />;
  return (
    <Page title="Not allowed" heading="You are not allowed to see this page">
      <p className="mt-4 max-w-prose text-muted">
        It is only for people with another role. If you should have it, ask whoever runs this site.
      </p>
      <p className="mt-6">
        <TextLink to="/dashboard">Go to the dashboard</TextLink>
      </p>
    </Page>
  );
}
