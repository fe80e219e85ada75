import type { FormEvent, FormEventHandler, ReactNode } from 'react';
import { Button } from './button.tsx';
import { Notice } from './notice.tsx';

/** Enter submits without the button, so `busy` must be handled here too. */
const ignore = (event: FormEvent) => event.preventDefault();

interface FormProps {
  onSubmit: FormEventHandler;
  busy: boolean;
  problem: string | undefined;
  action: string;
  children: ReactNode;
}

export function Form({ onSubmit, busy, problem, action, children }: FormProps) {
  return (
    // If the browser ever submits natively, `post` keeps the password out of the URL.
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
