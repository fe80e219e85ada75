import { type ComponentProps, type ReactNode, useId } from 'react';

export interface FieldProps extends Omit<ComponentProps<'input'>, 'id' | 'className'> {
  label: string;
  hint?: string;
  /** Shown instead of the hint. */
  error?: string | undefined;
  children?: ReactNode;
}

// Not a live region, which would interrupt every keystroke of a correction: the error is announced with the field,
// which is focused when a submission fails.
export function Field({ label, hint, error, children, ...input }: FieldProps) {
  const id = useId();
  const text = error ?? hint;
  return (
    <div>
      <label htmlFor={id} className="block font-medium">
        {label}
      </label>
      <div className="mt-1.5 flex rounded-lg border border-edge bg-surface has-[input:focus-visible]:outline-3 has-[input:focus-visible]:outline-offset-2 has-[input:focus-visible]:outline-focus has-aria-invalid:border-problem">
        <input
          {...input}
          id={id}
          aria-invalid={error !== undefined}
          aria-describedby={text === undefined ? undefined : `${id}-text`}
          className="min-h-11 w-full min-w-0 rounded-lg bg-transparent px-3.5 py-2 outline-none"
        />
        {children}
      </div>
      {text !== undefined && (
        <p id={`${id}-text`} className={`mt-1.5 text-sm ${error === undefined ? 'text-muted' : 'text-problem'}`}>
          {text}
        </p>
      )}
    </div>
  );
}
