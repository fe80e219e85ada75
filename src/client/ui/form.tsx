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
  kind?: 'main' | 'quiet' | 'danger';
  /** For a form among other things: what came of the last submission, or empty. It is announced beside the button. */
  outcome?: string;
  /** More buttons. */
  others?: ReactNode;
  children: ReactNode;
}

export function Form({ onSubmit, busy, problem, action, kind = 'main', outcome, others, children }: FormProps) {
  const button = (
    <Button type="submit" kind={kind} busy={busy}>
      {action}
    </Button>
  );
  return (
    // If the browser ever submits natively, `post` keeps the password out of the URL.
    <form noValidate method="post" onSubmit={busy ? ignore : onSubmit} className="flex flex-col gap-5">
      {problem !== undefined && (
        <Notice tone="problem" takesFocus>
          {problem}
        </Notice>
      )}
      {children}
      {outcome === undefined && others === undefined ? (
        button
      ) : (
        <div className="flex flex-wrap items-center gap-x-5 gap-y-3">
          {button}
          {others}
          {outcome !== undefined && <output className="text-muted">{outcome}</output>}
        </div>
      )}
    </form>
  );
}
