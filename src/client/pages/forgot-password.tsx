import { zodResolver } from '@hookform/resolvers/zod';
import { useState } from 'react';
import { useForm } from 'react-hook-form';
import { requestPasswordResetInput } from '../../shared/password-reset.ts';
import { plainClient } from '../api/app-session.ts';
import { AuthLayout } from '../auth/auth-layout.tsx';
import { bounded } from '../auth/call.ts';
import { CheckYourMail } from '../auth/check-your-mail.tsx';
import { sendsMail } from '../auth/sends-mail.ts';
import { Field } from '../ui/field.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { Notice } from '../ui/notice.tsx';
import { TextLink } from '../ui/text-link.tsx';

const resolver = zodResolver(requestPasswordResetInput);

export default function ForgotPasswordPage() {
  const [sentTo, setSentTo] = useState<string>();
  const form = useForm({ resolver, defaultValues: { email: '' } });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit((input) =>
    plainClient.passwordReset.request.mutate(input, bounded()).then(
      () => setSentTo(input.email),
      (error: unknown) => showFormErrors(form, error),
    ),
  );

  if (sentTo !== undefined)
    return (
      <CheckYourMail again="Ask for another mail" onAgain={() => setSentTo(undefined)}>
        If there is an account with {sentTo}, we have sent a link to it that sets a new password. It works for one hour.
      </CheckYourMail>
    );
  return (
    <AuthLayout title="Forgot your password?">
      {sendsMail ? (
        <>
          <p className="text-muted">
            Enter the email of your account, and we send a link to it that sets a new password.
          </p>
          <Form
            onSubmit={(event) => void submit(event)}
            busy={isSubmitting}
            problem={errors.root?.message}
            action="Send the link"
          >
            <Field
              label="Email"
              type="email"
              autoComplete="username"
              error={errors.email?.message}
              {...form.register('email')}
            />
          </Form>
        </>
      ) : (
        <Notice tone="calm">This site sends no mail. Please ask whoever runs it for help.</Notice>
      )}
      <p>
        <TextLink to="/login">Back to the login</TextLink>
      </p>
    </AuthLayout>
  );
}
