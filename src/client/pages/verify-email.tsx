import { plainClient } from '../api/app-session.ts';
import { MailedLink } from '../auth/mailed-link.tsx';
import { useSession } from '../auth/use-session.ts';
import { Notice } from '../ui/notice.tsx';
import { TextLink } from '../ui/text-link.tsx';

export default function VerifyEmailPage() {
  const state = useSession();
  const isMember = state.status === 'signed-in';
  const wayOn = isMember ? (
    <TextLink to="/dashboard">Go to the dashboard</TextLink>
  ) : (
    <TextLink to="/login">Log in</TextLink>
  );
  return (
    <MailedLink
      title="Confirm your email"
      ready="This shows that our mail reaches you."
      action="Confirm email"
      use={plainClient.emailVerification.confirm.mutate}
      done={
        <>
          <Notice tone="calm" takesFocus>
            Thank you. Your email is confirmed.
          </Notice>
          {wayOn}
        </>
      }
      invalid={
        isMember && state.user.emailVerified ? (
          <>
            <Notice tone="calm" takesFocus>
              Your email {state.user.email} is confirmed already. There is nothing left to do.
            </Notice>
            {wayOn}
          </>
        ) : (
          <>
            <Notice tone="problem" takesFocus>
              This link has expired, was used already, or was replaced by a newer one.
            </Notice>
            <p className="text-muted">
              {isMember
                ? 'Your account page sends you a new one.'
                : 'If you have confirmed your email already, just log in. Otherwise your account page sends you a new link.'}
            </p>
            <TextLink to="/account">{isMember ? 'Go to your account' : 'Log in'}</TextLink>
          </>
        )
      }
      missing={wayOn}
    />
  );
}
