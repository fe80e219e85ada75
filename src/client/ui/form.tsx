import type { FormEvent, FormEventHandler, ReactNode } from 'react';
import { Button } from './button.tsx';
import { Notice } from './notice.tsx';

/** Enter in a field submits too, past the button. */
const ignore = (event: FormEvent) => event.preventDefault();

interface FormProps {
  onSubmit: FormEventHandler;
  busy: boolean;
  /** What is wrong with the form as a whole. */
  problem: string | undefined;
  /** The label of the button. */
  action: string;
  children: ReactNode;
}

export function Form({ onSubmit, busy, problem, action, children }: FormProps) {
  return (
    // `post`, so that a submission by the browser itself, should it ever come to one, puts no password into the address.
    <form noValidate method="post" onSubmit={busy ? ignore : onSubmit} className="flex flex-col gap-5">
      {problem !== undefined && (
        <Notice tone="problem" takesFocus>
          {problem}
        </Notice>
      )}
      {children}
      <Button type="submit" busy={busy}>
        {action}
      </Button>
    </form>
  );
}
