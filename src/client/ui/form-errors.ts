import type { FieldValues, Path, UseFormReturn } from 'react-hook-form';
import { type Failure, type FailureCode, failureMessage, failureOf } from '../../shared/failures.ts';
import { errorMessage } from './error-message.ts';

type FieldsByCode<Input extends FieldValues> = Partial<Record<FailureCode, Path<Input>>>;

/**
 * Shows a failed submission at the fields concerned, focusing the first, otherwise above the form.
 * @param fieldsByCode fields for failures about one field; `invalid_input` names its own
 */
export function showFormErrors<Input extends FieldValues>(
  form: UseFormReturn<Input>,
  error: unknown,
  fieldsByCode: FieldsByCode<Input> = {},
): void {
  // The server may name a field that this form does not show.
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
