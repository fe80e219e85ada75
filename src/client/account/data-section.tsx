import { useState } from 'react';
import type { User } from '../../shared/auth.ts';
import { trpcClient } from '../api/client.ts';
import { Button } from '../ui/button.tsx';
import { downloadFile } from '../ui/download.ts';
import { errorMessage } from '../ui/error-message.ts';
import { Notice } from '../ui/notice.tsx';
import { Section } from '../ui/section.tsx';
import { DeleteDialog } from './delete-dialog.tsx';

export function DataSection({ user }: { user: User }) {
  const [isDeleting, setDeleting] = useState(false);
  return (
    <Section heading="Your data">
      <Export user={user} />
      <div className="flex flex-col items-start gap-4 border-t border-line pt-5">
        <p className="text-muted">
          Deleting your account removes everything that belongs to it, at once and for good. We cannot bring it back.
        </p>
        <Button kind="danger" onClick={() => setDeleting(true)}>
          Delete account
        </Button>
        {isDeleting && <DeleteDialog user={user} onClose={() => setDeleting(false)} />}
      </div>
    </Section>
  );
}

function Export({ user }: { user: User }) {
  const [state, setState] = useState<{ busy: boolean; done?: boolean; error?: unknown }>({ busy: false });
  // Not useQuery, whose cache would keep everything about the person.
  const download = async () => {
    setState({ busy: true });
    try {
      const data = await trpcClient.account.export.query();
      downloadFile(`latchkey-${user.username}.json`, 'application/json', [JSON.stringify(data, null, 2)]);
      setState({ busy: false, done: true });
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return (
    <div className="flex flex-col items-start gap-4">
      {state.error !== undefined && <Notice tone="problem">{errorMessage(state.error)}</Notice>}
      <p className="text-muted">Everything that we keep about you, in one file that programs can read (JSON).</p>
      <div className="flex flex-wrap items-center gap-x-5 gap-y-3">
        <Button kind="quiet" busy={state.busy} onClick={() => void download()}>
          Download your data
        </Button>
        <output className="text-muted">{state.done === true && 'Downloaded.'}</output>
      </div>
    </div>
  );
}
