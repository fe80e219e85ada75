import { session } from '../api/app-session.ts';

/** For the rest of this document: whoever signs in next gets another. */
let isAccountDeleted = false;

export const accountDeleted = (): boolean => isAccountDeleted;

/** Signs out after the account was deleted, with a goodbye on the login page. The server clears the cookie. */
export function leaveDeletedAccount(): void {
  isAccountDeleted = true;
  void session.signOut();
}
