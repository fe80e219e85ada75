import type { createTabs, Marker } from './tabs.ts';

interface Pending {
  marker: Marker;
  /** The marker could be written, so it is only to be sent while the marker still stands. */
  isMarked: boolean;
  controller: AbortController;
  sending?: Promise<void>;
}

/**
 * A logout that the server has yet to hear of; the page itself has signed out already.
 * @param tell tells the server; bounded
 * @param onDone is called after each attempt, with whether the server has been told
 */
export function createLogout(
  tabs: ReturnType<typeof createTabs>,
  tell: (controller: AbortController) => Promise<void>,
  onDone: (isTold: boolean) => void,
) {
  let pending: Pending | undefined;

  function isMarked({ sessionId }: Marker): boolean {
    const marker = tabs.marker();
    return marker?.sessionId === sessionId && marker.state === 'logout-pending';
  }

  async function attempt(mine: Pending): Promise<void> {
    // Another tab has told the server, or somebody has signed in, whose session it would end.
    const isMoot = mine.isMarked && !isMarked(mine.marker);
    const told = () => true;
    const isTold = isMoot || (await tell(mine.controller).then(told, () => false));
    if (pending !== mine) return;
    pending = undefined;
    if (!isTold) logout.remember(mine.marker);
    else if (isMarked(mine.marker)) tabs.mark({ ...mine.marker, state: 'ended' });
    onDone(isTold);
  }

  const logout = {
    sessionId: () => pending?.marker.sessionId,
    isDue: () => pending !== undefined && pending.sending === undefined,
    remember(marker: Marker): void {
      pending ??= { marker, isMarked: isMarked(marker), controller: new AbortController() };
    },
    /** Settles when the server was told, or could not be. */
    send: () => (pending ? (pending.sending ??= attempt(pending)) : Promise.resolve()),
    /** After a sign-in, which ends the session of the older cookie by itself: what is sent later would end the newer one. */
    drop(): void {
      const dropped = pending;
      pending = undefined;
      dropped?.controller.abort();
    },
  };
  return logout;
}
