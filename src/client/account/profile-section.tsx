import { zodResolver } from '@hookform/resolvers/zod';
import { useState } from 'react';
import { useForm } from 'react-hook-form';
import { changeUsernameInput } from '../../shared/account.ts';
import type { User } from '../../shared/auth.ts';
import { session } from '../api/app-session.ts';
import { trpcClient } from '../api/client.ts';
import { bounded } from '../auth/call.ts';
import { Field } from '../ui/field.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { Section } from '../ui/section.tsx';

const resolver = zodResolver(changeUsernameInput);

export function ProfileSection({ user }: { user: User }) {
  const [outcome, setOutcome] = useState('');
  const form = useForm({
    resolver,
    // Follows a change in another tab, unless somebody is typing here.
    values: { username: user.username },
    resetOptions: { keepDirtyValues: true },
  });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit(async ({ username }) => {
    setOutcome('');
    try {
      const changed = await trpcClient.account.changeUsername.mutate({ username }, bounded());
      form.reset({ username: changed.username });
      session.userChanged(changed);
      setOutcome('Saved.');
    } catch (error) {
      showFormErrors(form, error, { username_taken: 'username' });
    }
  });

  return (
    <Section heading="Profile" intro="What we call you.">
      <Form
        onSubmit={(event) => void submit(event)}
        busy={isSubmitting}
        problem={errors.root?.message}
        action="Change username"
        kind="quiet"
        outcome={outcome}
      >
        <Field
          label="Username"
          autoComplete="nickname"
          autoCapitalize="none"
          spellCheck={false}
          error={errors.username?.message}
          {...form.register('username')}
        />
      </Form>
    </Section>
  );
}
