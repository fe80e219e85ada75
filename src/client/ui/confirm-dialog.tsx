import { type ReactNode, useState } from 'react';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { errorMessage } from './error-message.ts';
import { Form } from './form.tsx';

interface ConfirmDialogProps {
  heading: string;
  /** What will happen. */
  children: ReactNode;
  action: string;
  kind: 'main' | 'danger';
  /** Does it. Where it rejects, the dialog stays and shows the error. */
  onConfirm: () => Promise<unknown>;
  /** It is done, or the person does not want it. */
  onClose: () => void;
}

export function ConfirmDialog({ heading, children, action, kind, onConfirm, onClose }: ConfirmDialogProps) {
  const [state, setState] = useState<{ busy: boolean; problem?: string }>({ busy: false });
  const confirm = async () => {
    setState({ busy: true });
    try {
      await onConfirm();
    } catch (error) {
      return setState({ busy: false, problem: errorMessage(error) });
    }
    onClose();
  };
  return (
    <Dialog heading={heading} onClose={onClose}>
      <div className="mt-2 mb-5 text-muted">{children}</div>
      <Form
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
        busy={state.busy}
        problem={state.problem}
        action={action}
        kind={kind}
        others={
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
        }
      >
        {null}
      </Form>
    </Dialog>
  );
}
