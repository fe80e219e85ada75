import type { Marker, Tabs } from './tabs.ts';

/**
 * A logout that the server has yet to hear of; the page itself has signed out already.
 * @param tell tells the server; bounded
 * @param onDone is called after each attempt, with whether the server has been told
 */
export function createLogout(
  tabs: Tabs,
  tell: (controller: AbortController) => Promise<void>,
  onDone: (isTold: boolean) => void,
) {
  let pending: { marker: Marker; controller: AbortController; sending?: Promise<void> } | undefined;

  async function attempt(mine: NonNullable<typeof pending>): Promise<void> {
    const { sessionId } = mine.marker;
    const before = tabs.marker();
    // Another tab has told the server, or somebody has signed in, whose session it would end.
    const isMoot = before && (before.sessionId !== sessionId || before.state === 'ended');
    const told = () => true;
    const isTold = isMoot || (await tell(mine.controller).then(told, () => false));
    if (pending !== mine) return;
    pending = undefined;
    if (!isTold) logout.remember(mine.marker);
    else if (tabs.marker()?.sessionId === sessionId) tabs.mark({ ...mine.marker, state: 'ended' });
    onDone(isTold);
  }

  const logout = {
    sessionId: () => pending?.marker.sessionId,
    isDue: () => pending !== undefined && pending.sending === undefined,
    remember(marker: Marker): void {
      pending ??= { marker, controller: new AbortController() };
    },
    /** Settles when the server was told, or could not be. */
    send: () => (pending ? (pending.sending ??= attempt(pending)) : Promise.resolve()),
    /** After a sign-in, which ends the session of the older cookie by itself: what is sent later would end the newer one. */
    drop(): void {
      pending?.controller.abort();
      pending = undefined;
    },
  };
  return logout;
}
