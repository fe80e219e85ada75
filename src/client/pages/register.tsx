import { zodResolver } from '@hookform/resolvers/zod';
import { useForm } from 'react-hook-form';
import { useLocation } from 'react-router';
import { PASSWORD_MIN_LENGTH, registerInput } from '../../shared/auth.ts';
import { Field } from '../ui/field.tsx';
import { Form } from '../ui/form.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { TextLink } from '../ui/text-link.tsx';
import { AuthLayout } from '../auth/auth-layout.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { createAccount } from '../auth/sign-in.ts';

export function RegisterPage() {
  const { search } = useLocation();
  const form = useForm({
    resolver: zodResolver(registerInput),
    defaultValues: { username: '', email: '', password: '' },
  });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit((input) =>
    createAccount(input).catch((error: unknown) => showFormErrors(form, error)),
  );

  return (
    <AuthLayout title="Create account" heading="Create your account">
      <Form
        onSubmit={(event) => void submit(event)}
        busy={isSubmitting}
        problem={errors.root?.message}
        action="Create account"
      >
        {/* People log in with their email, so that is the "username" which a password manager is to keep. */}
        <Field
          label="Username"
          hint="The name we call you by."
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
          hint={`At least ${PASSWORD_MIN_LENGTH} characters. Longer is better, and every character counts.`}
          autoComplete="new-password"
          error={errors.password?.message}
          {...form.register('password')}
        />
      </Form>
      <p className="text-muted">
        Already have an account? <TextLink to={{ pathname: '/login', search }}>Log in instead</TextLink>
      </p>
    </AuthLayout>
  );
}
