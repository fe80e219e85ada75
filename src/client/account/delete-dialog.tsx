import { zodResolver } from '@hookform/resolvers/zod';
import { useForm } from 'react-hook-form';
import { useNavigate } from 'react-router';
import { deleteAccountInput } from '../../shared/account.ts';
import type { User } from '../../shared/auth.ts';
import { trpcClient } from '../api/client.ts';
import { leaveDeletedAccount } from '../auth/farewell.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Field } from '../ui/field.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';

const resolver = zodResolver(deleteAccountInput);

export function DeleteDialog({ user, onClose }: { user: User; onClose: () => void }) {
  const navigate = useNavigate();
  const form = useForm({ resolver, defaultValues: { username: '' } });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit(async (input) => {
    try {
      // Without a time limit: it may wait for the person to confirm.
      await trpcClient.account.delete.mutate(input);
    } catch (error) {
      return showFormErrors(form, error);
    }
    leaveDeletedAccount();
    // Without this address, to which the next person would be sent.
    await navigate('/login', { replace: true });
  });

  return (
    <Dialog heading="Delete your account?" onClose={onClose}>
      <p className="mt-2 mb-5 text-muted">
        You are logged out everywhere, and everything that belongs to your account is removed. This cannot be undone.
      </p>
      <Form
        onSubmit={(event) => void submit(event)}
        busy={isSubmitting}
        problem={errors.root?.message}
        action="Delete for good"
        kind="danger"
        others={
          <Button kind="quiet" onClick={onClose}>
            Keep my account
          </Button>
        }
      >
        <Field
          label="Username"
          hint={`Type ${user.username} to confirm.`}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          error={errors.username?.message}
          {...form.register('username')}
        />
      </Form>
    </Dialog>
  );
}
