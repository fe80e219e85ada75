import type { FieldValues, Path, UseFormReturn } from 'react-hook-form';
import { type Failure, type FailureCode, failureMessage, failureOf } from '../../shared/failures.ts';
import { errorMessage } from './error-message.ts';

/** The field to show a failure at, by its code. */
type FieldsByCode<Input extends FieldValues> = Partial<Record<FailureCode, Path<Input>>>;

/**
 * Shows why a submission failed: beside the fields at fault, the first of which gets the focus, or else above the form.
 * @param error anything a call has thrown
 * @param fieldsByCode where to show failures that are about one field; `invalid_input` names its fields itself
 */
export function showFormErrors<Input extends FieldValues>(
  form: UseFormReturn<Input>,
  error: unknown,
  fieldsByCode: FieldsByCode<Input> = {},
): void {
  // The server may name a field that this form does not have, where nobody would see the message.
  const fields = Object.keys(form.getValues());
  const messages = fieldMessages(failureOf(error), fieldsByCode).filter(([field]) => fields.includes(field));
  if (messages.length === 0) form.setError('root', { message: errorMessage(error) });
  for (const [index, [field, message]] of messages.entries())
    form.setError(field as Path<Input>, { message }, { shouldFocus: index === 0 });
}

function fieldMessages(
  failure: Failure | undefined,
  fieldsByCode: Partial<Record<FailureCode, string>>,
): [field: string, message: string][] {
  if (failure === undefined) return [];
  if (failure.code === 'invalid_input')
    return Object.entries(failure.fields).map(([field, [first]]) => [field, first ?? failureMessage(failure)]);
  const field = fieldsByCode[failure.code];
  return field === undefined ? [] : [[field, failureMessage(failure)]];
}
