import { useSearchParams } from 'react-router';
import { sessionEndMessage, sessionEndReasons } from '../../shared/failures.ts';
import { Notice } from '../ui/notice.tsx';
import { useSession } from './use-session.ts';

/** On the login page: why the person is here, where they might wonder. */
export function SignedOutNotice() {
  const state = useSession();
  const [params] = useSearchParams();
  const reason = state.status === 'signed-out' ? state.reason : undefined;
  const sentence = failureMessage(reason, params.has('redirectTo'));
  return sentence === undefined ? null : <Notice tone="calm">{sentence}</Notice>;
}

function failureMessage(reason: string | undefined, wasSentHere: boolean): string | undefined {
  if (reason === 'logout') return 'You have logged out.';
  const told = sessionEndReasons.find((known) => known === reason) ?? 'none';
  // Whoever came by themselves need not be told to log in.
  return (told === 'none' || told === 'invalid') && !wasSentHere ? undefined : sessionEndMessage(told);
}
