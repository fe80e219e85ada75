import { zodResolver } from '@hookform/resolvers/zod';
import { useState } from 'react';
import { useForm } from 'react-hook-form';
import { Navigate } from 'react-router';
import { failureOf } from '../../shared/failures.ts';
import { completePasswordResetInputFor } from '../../shared/password-reset.ts';
import { plainClient } from '../api/app-session.ts';
import { bounded } from '../auth/call.ts';
import { LinkPage, NoLink } from '../auth/mailed-link.tsx';
import { passwordMinLength } from '../auth/password-policy.ts';
import { PASSWORD_RESET } from '../auth/password-reset-notice.ts';
import { useLinkToken } from '../auth/use-link-token.ts';
import { useSession } from '../auth/use-session.ts';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { Notice } from '../ui/notice.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { TextLink } from '../ui/text-link.tsx';

const minLength = passwordMinLength();
const resolver = zodResolver(completePasswordResetInputFor(minLength));

export default function ResetPasswordPage() {
  const token = useLinkToken();
  const another = <TextLink to="/forgot-password">Ask for a new link</TextLink>;
  return (
    <LinkPage title="Set a new password">
      {token === undefined ? <NoLink>{another}</NoLink> : <SetPassword key={token} token={token} another={another} />}
    </LinkPage>
  );
}

function SetPassword({ token, another }: { token: string; another: React.ReactNode }) {
  const [outcome, setOutcome] = useState<'done' | 'invalid'>();
  const isMember = useSession().status === 'signed-in';
  const form = useForm({ resolver, defaultValues: { token, password: '' } });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit((input) =>
    plainClient.passwordReset.complete.mutate(input, bounded()).then(
      () => setOutcome('done'),
      (error: unknown) => {
        if (failureOf(error)?.code === 'link_invalid') setOutcome('invalid');
        else showFormErrors(form, error);
      },
    ),
  );

  if (outcome === 'invalid')
    return (
      <>
        <Notice tone="problem" takesFocus>
          This link has expired, was used already, or was replaced by a newer one.
        </Notice>
        {another}
      </>
    );
  if (outcome === 'done' && !isMember) return <Navigate replace to="/login" state={PASSWORD_RESET} />;
  if (outcome === 'done')
    // Whoever is logged in here is somebody else, or about to be logged out.
    return (
      <>
        <Notice tone="calm" takesFocus>
          The password has been changed, and every session of its account has ended.
        </Notice>
        <TextLink to="/">Go on</TextLink>
      </>
    );
  return (
    <div className="w-full">
      <Form
        onSubmit={(event) => void submit(event)}
        busy={isSubmitting}
        problem={errors.root?.message}
        action="Set password"
      >
        <PasswordField
          label="New password"
          hint={`At least ${minLength} characters. You will be logged out everywhere, and log in with it.`}
          autoComplete="new-password"
          error={errors.password?.message}
          {...form.register('password')}
        />
      </Form>
    </div>
  );
}
