import { useLocation, useSearchParams } from 'react-router';
import { sessionEndMessage, sessionEndReasons } from '../../shared/failures.ts';
import { Notice } from '../ui/notice.tsx';
import { accountDeleted } from './farewell.ts';
import { PASSWORD_RESET } from './password-reset-notice.ts';
import { useSession } from './use-session.ts';

/** Explains why somebody landed on the login page, unless it is obvious. */
export function SignedOutNotice() {
  const state = useSession();
  const [params] = useSearchParams();
  const location = useLocation();
  const reason = state.status === 'signed-out' ? state.reason : undefined;
  const message = accountDeleted()
    ? 'Your account has been deleted. Goodbye, and thank you for having been here.'
    : location.state === PASSWORD_RESET
      ? 'Your password has been changed, and every session has ended. Please log in with the new password.'
      : noticeFor(reason, params.has('redirectTo'));
  return message === undefined ? null : <Notice tone="calm">{message}</Notice>;
}

function noticeFor(reason: string | undefined, wasRedirected: boolean): string | undefined {
  if (reason === 'logout') return 'You have logged out.';
  const known = sessionEndReasons.find((candidate) => candidate === reason) ?? 'none';
  // A guest who opened the login page on purpose needs no explanation.
  if (!wasRedirected && (known === 'none' || known === 'invalid')) return undefined;
  return sessionEndMessage(known);
}
