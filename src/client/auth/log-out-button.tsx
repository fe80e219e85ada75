import { session } from '../api/app-session.ts';
import { Button } from '../ui/button.tsx';

/** Works at once, without a network too: the guard leads to the login page, and the server is told when it can be. */
export function LogOutButton() {
  return (
    <Button kind="quiet" onClick={() => void session.signOut()}>
      Log out
    </Button>
  );
}
