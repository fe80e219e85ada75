import { Button } from '../ui/button.tsx';
import { errorMessage } from '../ui/error-message.ts';
import { Notice } from '../ui/notice.tsx';

interface FailedProps {
  error: unknown;
  busy: boolean;
  onRetry: () => unknown;
}

/** Stands where what could not be read would be. */
export function Failed({ error, busy, onRetry }: FailedProps) {
  return (
    <div className="flex flex-col items-start gap-4">
      <Notice tone="problem">{errorMessage(error)}</Notice>
      <Button kind="quiet" busy={busy} onClick={() => void onRetry()}>
        Try again
      </Button>
    </div>
  );
}
