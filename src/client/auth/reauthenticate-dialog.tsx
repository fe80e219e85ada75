import { zodResolver } from '@hookform/resolvers/zod';
import { useSyncExternalStore } from 'react';
import { useForm } from 'react-hook-form';
import { reauthenticateInput } from '../../shared/auth.ts';
import { failureOf } from '../../shared/failures.ts';
import { trpcClient } from '../api/client.ts';
import { reauthentication, type Question } from '../api/reauthentication.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { PasswordField } from '../ui/password-field.tsx';
import { AccountName } from './account-name.tsx';
import { bounded } from './call.ts';
import { useSession } from './use-session.ts';

const resolver = zodResolver(reauthenticateInput);

/** Asks for the password while calls wait that need a recent proof of who is there. One for the whole page. */
export function ReauthenticateDialog() {
  const question = useSyncExternalStore(reauthentication.subscribe, reauthentication.question);
  const state = useSession();
  if (question === undefined || state.status !== 'signed-in') return null;
  return <PasswordDialog question={question} email={state.user.email} />;
}

function PasswordDialog({ question, email }: { question: Question; email: string }) {
  const form = useForm({ resolver, defaultValues: { password: '' } });
  const { errors, isSubmitting } = form.formState;
  // Not useMutation, whose cache would keep the password.
  const submit = form.handleSubmit((input) =>
    trpcClient.auth.reauthenticate.mutate(input, bounded()).then(
      () => question.answer(true),
      (error: unknown) => {
        if (failureOf(error)?.code !== 'invalid_credentials') return showFormErrors(form, error);
        form.setError('password', { message: 'This password is wrong.' }, { shouldFocus: true });
      },
    ),
  );
  const cancel = () => question.answer(false);

  return (
    <Dialog heading="Is it you?" onClose={cancel}>
      <p className="mt-2 mb-5 text-muted">
        This needs your password again, to protect your account from whoever finds this browser open.
      </p>
      <Form
        onSubmit={(event) => void submit(event)}
        busy={isSubmitting}
        problem={errors.root?.message}
        action="Continue"
        others={
          <Button kind="quiet" onClick={cancel}>
            Cancel
          </Button>
        }
      >
        <AccountName email={email} />
        <PasswordField
          label="Password"
          autoComplete="current-password"
          error={errors.password?.message}
          {...form.register('password')}
        />
      </Form>
    </Dialog>
  );
}
