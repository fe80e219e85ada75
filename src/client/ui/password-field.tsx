import { useState } from 'react';
import { Field, type FieldProps } from './field.tsx';

/** Never set `maxLength`: browsers silently truncate pasted passwords. */
export function PasswordField(props: Omit<FieldProps, 'type' | 'children'>) {
  const [shown, setShown] = useState(false);
  return (
    // Some browsers send text to a server for spell checking.
    <Field {...props} type={shown ? 'text' : 'password'} spellCheck={false} autoCapitalize="none" autoCorrect="off">
      <button
        type="button"
        onClick={() => setShown(!shown)}
        className="min-h-11 shrink-0 cursor-pointer rounded-lg px-3.5 text-sm font-medium text-muted hover:text-ink"
      >
        {shown ? 'Hide' : 'Show'}
        <span className="sr-only"> password</span>
      </button>
    </Field>
  );
}
