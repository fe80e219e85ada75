import { zodResolver } from '@hookform/resolvers/zod';
import { useForm } from 'react-hook-form';
import { useLocation } from 'react-router';
import { loginInput } from '../../shared/auth.ts';
import { AuthLayout } from '../auth/auth-layout.tsx';
import { sendsMail } from '../auth/sends-mail.ts';
import { logIn } from '../auth/sign-in.ts';
import { SignedOutNotice } from '../auth/signed-out-notice.tsx';
import { Checkbox } from '../ui/checkbox.tsx';
import { Field } from '../ui/field.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { TextLink } from '../ui/text-link.tsx';

const resolver = zodResolver(loginInput);

export function LoginPage() {
  const { search } = useLocation();
  const form = useForm({ resolver, defaultValues: { email: '', password: '', remember: true } });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit((input) => logIn(input).catch((error: unknown) => showFormErrors(form, error)));

  return (
    <AuthLayout title="Log in">
      {errors.root === undefined && <SignedOutNotice />}
      <Form onSubmit={(event) => void submit(event)} busy={isSubmitting} problem={errors.root?.message} action="Log in">
        <Field
          label="Email"
          type="email"
          autoComplete="username"
          error={errors.email?.message}
          {...form.register('email')}
        />
        <PasswordField
          label="Password"
          autoComplete="current-password"
          error={errors.password?.message}
          {...form.register('password')}
        />
        <div className="flex flex-wrap items-center justify-between gap-x-6">
          <Checkbox label="Remember me" {...form.register('remember')} />
          {sendsMail && <TextLink to="/forgot-password">Forgot your password?</TextLink>}
        </div>
      </Form>
      <p className="text-muted">
        New here? <TextLink to={{ pathname: '/register', search }}>Create an account</TextLink>
      </p>
    </AuthLayout>
  );
}
