import { type ReactNode, useState } from 'react';
import { trpc } from '../api/client.ts';
import { Button } from '../ui/button.tsx';
import { ConfirmDialog } from '../ui/confirm-dialog.tsx';

interface ActionProps {
  /** Of the button. */
  label: string;
  kind: 'quiet' | 'danger';
  unavailable?: boolean;
  /** Of the dialog: the question. */
  question: string;
  /** What will happen. */
  children: ReactNode;
  /** Of the button that confirms. */
  confirm: string;
  /** Does it. @returns what came of it, in a sentence */
  run: () => Promise<string>;
}

/** A button for what an admin does to somebody: it asks first, does it, and says what came of it. */
export function Action({ label, kind, unavailable = false, question, children, confirm, run }: ActionProps) {
  const [isAsking, setAsking] = useState(false);
  const [outcome, setOutcome] = useState('');
  const { admin } = trpc.useUtils();
  const ask = () => {
    setOutcome('');
    setAsking(true);
  };
  const act = async () => {
    try {
      setOutcome(await run());
    } finally {
      // After a failure too: it may have been done, or somebody else has done something.
      void admin.invalidate();
    }
  };
  return (
    <>
      <Button kind={kind} unavailable={unavailable} onClick={ask}>
        {label}
      </Button>
      {/* Always rendered, so that screen readers announce what appears in it. */}
      <output className="text-muted">{outcome}</output>
      {isAsking && (
        <ConfirmDialog
          heading={question}
          action={confirm}
          kind={kind === 'danger' ? 'danger' : 'main'}
          onConfirm={act}
          onClose={() => setAsking(false)}
        >
          {children}
        </ConfirmDialog>
      )}
    </>
  );
}
