import { plainClient, session } from '../api/app-session.ts';
import { bounded } from './call.ts';

/** For the rest of this document: whoever signs in next gets another. */
let isAccountDeleted = false;

export const accountDeleted = (): boolean => isAccountDeleted;

/** Signs out after the account was deleted, with a goodbye on the login page. */
export function leaveDeletedAccount(): void {
  isAccountDeleted = true;
  // The page may have heard of the end already. It then has nothing to tell the server, which is to clear the cookie.
  if (session.state.status === 'signed-out')
    plainClient.auth.logout.mutate(undefined, bounded()).catch((error: unknown) => reportError(error));
  else void session.signOut();
}
