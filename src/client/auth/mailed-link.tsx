import { type ReactNode, useState } from 'react';
import { failureOf } from '../../shared/failures.ts';
import { Button } from '../ui/button.tsx';
import { errorMessage } from '../ui/error-message.ts';
import { Notice } from '../ui/notice.tsx';
import { Page } from '../ui/page.tsx';
import { bounded } from './call.ts';
import { useLinkToken } from './use-link-token.ts';

interface MailedLinkProps {
  title: string;
  /** What the button does. */
  ready: string;
  action: string;
  /** Uses the link up. */
  use: (input: { token: string }, options: { signal: AbortSignal }) => Promise<unknown>;
  done: ReactNode;
  /** For a link that is expired, used or replaced: what to do. */
  invalid: ReactNode;
  /** For a page without a link, as after a reload: what to do instead of opening it again. */
  missing: ReactNode;
}

/**
 * A page that a mailed link opens. Only a click uses the link up: scanners of mail open links, and run the scripts of what
 * they open.
 */
export function MailedLink(props: MailedLinkProps) {
  const token = useLinkToken();
  return (
    <LinkPage title={props.title}>
      {token === undefined ? <NoLink>{props.missing}</NoLink> : <UseLink key={token} {...props} token={token} />}
    </LinkPage>
  );
}

export function LinkPage({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="mx-auto flex w-full max-w-104 flex-col items-start gap-6">
      <Page title={title}>{children}</Page>
    </div>
  );
}

export function NoLink({ children }: { children: ReactNode }) {
  return (
    <>
      <Notice tone="calm">Please open the link in your mail again. This page no longer has it.</Notice>
      {children}
    </>
  );
}

type State = { kind: 'ready' | 'working' | 'done' | 'invalid' } | { kind: 'failed'; message: string };

function UseLink({ token, ready, action, use, done, invalid }: MailedLinkProps & { token: string }) {
  const [state, setState] = useState<State>({ kind: 'ready' });
  const click = async () => {
    setState({ kind: 'working' });
    setState(
      await use({ token }, bounded()).then(
        (): State => ({ kind: 'done' }),
        (error: unknown): State =>
          failureOf(error)?.code === 'link_invalid'
            ? { kind: 'invalid' }
            : { kind: 'failed', message: errorMessage(error) },
      ),
    );
  };
  switch (state.kind) {
    case 'done':
      return done;
    case 'invalid':
      return invalid;
    case 'ready':
    case 'working':
    case 'failed':
      return (
        <>
          {state.kind === 'failed' && <Notice tone="problem">{state.message}</Notice>}
          <p className="text-muted">{ready}</p>
          <Button busy={state.kind === 'working'} onClick={() => void click()}>
            {action}
          </Button>
        </>
      );
  }
}
