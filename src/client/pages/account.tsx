import { DataSection } from '../account/data-section.tsx';
import { PasswordSection } from '../account/password-section.tsx';
import { ProfileSection } from '../account/profile-section.tsx';
import { SessionsSection } from '../account/sessions-section.tsx';
import { useSession } from '../auth/use-session.ts';
import { EmailSection } from '../email-change/email-section.tsx';
import { ResendVerification } from '../email-verification/resend.tsx';
import { Page } from '../ui/page.tsx';

export default function AccountPage() {
  const state = useSession();
  if (state.status !== 'signed-in') return null;
  const { user } = state;
  return (
    <Page title="Account">
      <div className="mt-8 flex flex-col gap-6">
        <ProfileSection user={user} />
        <EmailSection user={user} resend={<ResendVerification />} />
        <PasswordSection user={user} />
        <SessionsSection />
        <DataSection user={user} />
      </div>
    </Page>
  );
}
