import { plainClient } from '../api/app-session.ts';
import { MailedLink } from '../auth/mailed-link.tsx';
import { useSession } from '../auth/use-session.ts';
import { Notice } from '../ui/notice.tsx';
import { TextLink } from '../ui/text-link.tsx';

export default function ConfirmEmailPage() {
  const isMember = useSession().status === 'signed-in';
  // Guests log in on the way.
  const wayOn = <TextLink to="/account">{isMember ? 'Go to your account' : 'Log in'}</TextLink>;
  return (
    <MailedLink
      title="Confirm your new email"
      ready="From then on, you log in with this email, and no longer with the one before."
      action="Change email"
      use={plainClient.emailChange.confirm.mutate}
      done={
        <>
          <Notice tone="calm" takesFocus>
            Your email has been changed. Log in with the new one from now on.
          </Notice>
          {wayOn}
        </>
      }
      invalid={
        <>
          <Notice tone="problem" takesFocus>
            This link has expired, was used already, or was replaced by a newer one.
          </Notice>
          <p className="text-muted">Your account page shows which email you have, and sends a new link.</p>
          {wayOn}
        </>
      }
      missing={wayOn}
    />
  );
}
