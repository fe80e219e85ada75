import type { QueryClient } from '@tanstack/react-query';
import { isUnavailable } from './refresh-link.ts';
import type { Person, Session } from './session/index.ts';

/**
 * Clears the cache on sign-out, and refetches what failed while the session could not be refreshed.
 * @returns a function that stops following
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
      // First, or a late response would land in the emptied cache.
      void queryClient.cancelQueries();
      queryClient.clear();
    }
    before = now;
  });
}
