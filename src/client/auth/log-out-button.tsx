import { session } from '../api/app-session.ts';
import { Button } from '../ui/button.tsx';

/** Takes effect immediately, even offline: the guard redirects, and the server is notified when possible. */
export function LogOutButton() {
  return (
    <Button kind="quiet" onClick={() => void session.signOut()}>
      Log out
    </Button>
  );
}
