import { useState } from 'react';
import { failureOf } from '../../shared/failures.ts';
import { trpcClient } from '../api/client.ts';
import { bounded } from '../auth/call.ts';
import { Button } from '../ui/button.tsx';
import { errorMessage } from '../ui/error-message.ts';
import { useCountdown } from '../ui/use-countdown.ts';

type Outcome = { kind: 'sent' | 'limited' } | { kind: 'failed'; message: string };

/** Asks for another mail with a verification link, and says what came of it. */
export function ResendVerification() {
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();
  const [secondsLeft, wait] = useCountdown();

  const send = async () => {
    setBusy(true);
    setOutcome(undefined);
    const came = await trpcClient.emailVerification.send.mutate(undefined, bounded()).then(
      (): Outcome => ({ kind: 'sent' }),
      (error: unknown): Outcome => {
        const failure = failureOf(error);
        if (failure?.code !== 'rate_limited') return { kind: 'failed', message: errorMessage(error) };
        wait(failure.retryAfter);
        return { kind: 'limited' };
      },
    );
    setOutcome(came);
    setBusy(false);
  };

  return (
    <div className="max-w-prose">
      <Button kind="quiet" busy={busy} unavailable={secondsLeft > 0} onClick={() => void send()}>
        {secondsLeft > 0 ? `Send again in ${inShort(secondsLeft)}` : 'Send the mail again'}
      </Button>
      {/* Always rendered, so that screen readers announce what appears in it. */}
      <output
        className={`block ${outcome === undefined ? '' : 'mt-2'} ${outcome?.kind === 'failed' ? 'text-problem' : ''}`}
      >
        {said(outcome)}
      </output>
    </div>
  );
}

function said(outcome: Outcome | undefined): string {
  switch (outcome?.kind) {
    case undefined:
      return '';
    case 'sent':
      return 'Sent. If it does not arrive in a few minutes, look in your spam folder.';
    case 'limited':
      return 'We have sent several mails already. Look in your spam folder, too.';
    case 'failed':
      return outcome.message;
  }
}

const inShort = (seconds: number) => (seconds <= 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`);
