import type { FieldValues, Path, UseFormReturn } from 'react-hook-form';
import { failureOf, failureMessage } from '../../shared/failures.ts';
import { errorMessage } from './error-message.ts';

/** Puts what the server refused beside the field that is at fault, or else above the form, and moves the focus there. */
export function showFormErrors<Input extends FieldValues>(form: UseFormReturn<Input>, error: unknown): void {
  const known = Object.keys(form.getValues());
  const faults = Object.entries(faultsOf(error)).filter(([name]) => known.includes(name));
  if (faults.length === 0) form.setError('root', { message: errorMessage(error) });
  for (const [index, [name, message]] of faults.entries())
    form.setError(name as Path<Input>, { message }, { shouldFocus: index === 0 });
}

function faultsOf(error: unknown): Record<string, string | undefined> {
  const failure = failureOf(error);
  switch (failure?.code) {
    case 'invalid_input':
      return Object.fromEntries(Object.entries(failure.fields).map(([name, [first]]) => [name, first]));
    case 'username_taken':
      return { username: failureMessage(failure) };
    case 'email_taken':
      return { email: failureMessage(failure) };
    default:
      return {};
  }
}
