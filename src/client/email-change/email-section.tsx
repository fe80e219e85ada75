import { zodResolver } from '@hookform/resolvers/zod';
import { type ReactNode, useState } from 'react';
import { useForm } from 'react-hook-form';
import type { User } from '../../shared/auth.ts';
import { emailChangeInput } from '../../shared/email-change.ts';
import { trpcClient } from '../api/client.ts';
import { sendsMail } from '../auth/sends-mail.ts';
import { Badge } from '../ui/badge.tsx';
import { Field } from '../ui/field.tsx';
import { showFormErrors } from '../ui/form-errors.ts';
import { Form } from '../ui/form.tsx';
import { Section } from '../ui/section.tsx';

interface EmailSectionProps {
  user: User;
  /** Asks for another verification mail. */
  resend: ReactNode;
}

export function EmailSection({ user, resend }: EmailSectionProps) {
  return (
    <Section
      heading="Email"
      intro={`You log in with it${sendsMail ? ', and we write to it when something about your account changes' : ''}.`}
    >
      <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <span className="font-medium wrap-anywhere">{user.email}</span>
        {user.emailVerified ? (
          <Badge tone="plain">Verified</Badge>
        ) : (
          sendsMail && <Badge tone="calm">Waiting for confirmation</Badge>
        )}
      </p>
      {sendsMail && !user.emailVerified && (
        <>
          <p className="text-muted">Open the link in the mail that we have sent to this address.</p>
          {resend}
        </>
      )}
      {sendsMail ? (
        <ChangeEmail email={user.email} />
      ) : (
        <p className="text-muted">This site sends no mail, so another email could not be confirmed.</p>
      )}
    </Section>
  );
}

const resolver = zodResolver(emailChangeInput);

function ChangeEmail({ email }: { email: string }) {
  const [sentTo, setSentTo] = useState<string>();
  const form = useForm({ resolver, defaultValues: { email: '' } });
  const { errors, isSubmitting } = form.formState;
  const submit = form.handleSubmit(async (input) => {
    setSentTo(undefined);
    try {
      // Without a time limit: it may wait for the person to confirm.
      await trpcClient.emailChange.request.mutate(input);
      form.reset();
      setSentTo(input.email);
    } catch (error) {
      showFormErrors(form, error, { email_taken: 'email' });
    }
  });
  return (
    <Form
      onSubmit={(event) => void submit(event)}
      busy={isSubmitting}
      problem={errors.root?.message}
      action="Change email"
      kind="quiet"
      // Once that is the email, it has changed.
      outcome={
        sentTo === undefined || sentTo === email
          ? ''
          : `We have sent a link to ${sentTo}. Your email changes once you open it.`
      }
    >
      <Field
        label="New email"
        type="email"
        autoComplete="email"
        error={errors.email?.message}
        {...form.register('email')}
      />
    </Form>
  );
}
