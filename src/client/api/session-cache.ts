import type { QueryClient } from '@tanstack/react-query';
import { isUnavailable } from './refresh-link.ts';
import type { Person, Session } from './session/index.ts';

/**
 * Keeps a query cache in step with a session: empties it when the person signs out, and fetches again what failed because
 * the session could not be refreshed, once it has been.
 * @param onUser is called when the data of the person signed in has changed
 * @returns a function that stops
 */
export function followSession<TUser extends Person>(
  queryClient: QueryClient,
  session: Session<TUser>,
  onUser: (user: TUser) => void,
): () => void {
  let before = session.state;
  return session.subscribe(() => {
    const now = session.state;
    if (now.status === 'signed-in') {
      if (before.status === 'signed-in' && JSON.stringify(before.user) !== JSON.stringify(now.user)) onUser(now.user);
      if (!now.stale)
        void queryClient.refetchQueries({ type: 'active', predicate: ({ state }) => isUnavailable(state.error) });
    } else if (before.status === 'signed-in') {
      // Cancelled first: a late answer would land in the cache that has just been emptied.
      void queryClient.cancelQueries();
      queryClient.clear();
    }
    before = now;
  });
}
