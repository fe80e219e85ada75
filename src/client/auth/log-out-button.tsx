import { session } from '../api/client.ts';
import { Button } from '../ui/button.tsx';

/** At once, also without a network: the guard then leads to the login page, and the server hears of it when it can. */
export function LogOutButton() {
  return (
    <Button kind="quiet" onClick={() => void session.signOut()}>
      Log out
    </Button>
  );
}
