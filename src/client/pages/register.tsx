import { zodResolver } from '@hookform/resolvers/zod';
import { useState } from 'react';
import { useForm } from 'react-hook-form';
import { useLocation } from 'react-router';
import { registerInputFor } from '../../shared/auth.ts';
import { AuthLayout } from '../auth/auth-layout.tsx';
import { CheckYourMail } from '../auth/check-your-mail.tsx';
import { passwordMinLength } from '../auth/password-policy.ts';
import { createAccount } from '../auth/sign-in.ts';
import { Field } from '../ui/field.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { TextLink } from '../ui/text-link.tsx';

const minLength = passwordMinLength();
const resolver = zodResolver(registerInputFor(minLength));

export function RegisterPage() {
  const { search } = useLocation();
  const [mailedTo, setMailedTo] = useState<string>();
  const form = useForm({ resolver, defaultValues: { username: '', email: '', password: '' } });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit((input) =>
    createAccount(input).then(
      (isSignedIn) => setMailedTo(isSignedIn ? undefined : input.email),
      (error: unknown) => showFormErrors(form, error, { username_taken: 'username', email_taken: 'email' }),
    ),
  );

  if (mailedTo !== undefined)
    return (
      <CheckYourMail again="Go back to the form" onAgain={() => setMailedTo(undefined)}>
        We have sent a mail to {mailedTo}. Open the link in it to create your account. If you have an account already,
        the mail says so.
      </CheckYourMail>
    );

  return (
    <AuthLayout title="Create account" heading="Create your account">
      <Form
        onSubmit={(event) => void submit(event)}
        busy={isSubmitting}
        problem={errors.root?.message}
        action="Create account"
      >
        {/* People log in with their email, so that is what password managers should save as the "username". */}
        <Field
          label="Username"
          hint="What we’ll call you."
          autoComplete="nickname"
          autoCapitalize="none"
          spellCheck={false}
          error={errors.username?.message}
          {...form.register('username')}
        />
        <Field
          label="Email"
          type="email"
          autoComplete="username"
          error={errors.email?.message}
          {...form.register('email')}
        />
        <PasswordField
          label="Password"
          hint={`At least ${minLength} characters. Longer is better, and a few random words work well.`}
          autoComplete="new-password"
          error={errors.password?.message}
          {...form.register('password')}
        />
      </Form>
      <p className="text-muted">
        Already have an account? <TextLink to={{ pathname: '/login', search }}>Log in</TextLink>
      </p>
    </AuthLayout>
  );
}
