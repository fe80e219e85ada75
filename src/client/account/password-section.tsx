import { zodResolver } from '@hookform/resolvers/zod';
import { useMemo, useState } from 'react';
import { useForm } from 'react-hook-form';
import * as z from 'zod/mini';
import { changePasswordInputFor } from '../../shared/account.ts';
import { ownNameProblem, type User } from '../../shared/auth.ts';
import { trpc, trpcClient } from '../api/client.ts';
import { AccountName } from '../auth/account-name.tsx';
import { passwordMinLength } from '../auth/password-policy.ts';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { Section } from '../ui/section.tsx';

const minLength = passwordMinLength();

const inputOf = ({ username, email }: User) =>
  changePasswordInputFor(minLength).check(
    z.superRefine(({ password }, ctx) => {
      const message = ownNameProblem(password, { username, email });
      if (message !== undefined) ctx.addIssue({ code: 'custom', path: ['password'], message });
    }),
  );

export function PasswordSection({ user }: { user: User }) {
  const [outcome, setOutcome] = useState('');
  const sessions = trpc.useUtils().account.sessions;
  const resolver = useMemo(() => zodResolver(inputOf(user)), [user]);
  const form = useForm({ resolver, defaultValues: { password: '' } });
  const { errors, isSubmitting } = form.formState;
  // Not useMutation, whose cache would keep the password.
  const submit = form.handleSubmit(async (input) => {
    setOutcome('');
    try {
      // Without a time limit: it may wait for the person to confirm.
      await trpcClient.account.changePassword.mutate(input);
      form.reset();
      setOutcome('Changed. Your other sessions have been logged out.');
      void sessions.invalidate();
    } catch (error) {
      showFormErrors(form, error);
    }
  });

  return (
    <Section heading="Password" intro="Changing it logs you out everywhere else.">
      <Form
        onSubmit={(event) => void submit(event)}
        busy={isSubmitting}
        problem={errors.root?.message}
        action="Change password"
        kind="quiet"
        outcome={outcome}
      >
        <AccountName email={user.email} />
        <PasswordField
          label="New password"
          hint={`At least ${minLength} characters. Longer is better, and a few random words work well.`}
          autoComplete="new-password"
          error={errors.password?.message}
          {...form.register('password')}
        />
      </Form>
    </Section>
  );
}
