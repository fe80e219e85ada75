import type { Tabs } from './session-tabs.ts';

const LOCK_MS = 3_000;

/**
 * A logout that the server has yet to hear of. The page is signed out already; this tells the server, and remembers it
 * where that failed.
 * @param options.send tells the server; bounded
 * @param options.onDone whether the server was told
 */
export function createLogout(options: {
  tabs: Tabs;
  send: (controller: AbortController) => Promise<void>;
  onDone: (wasTold: boolean) => void;
}) {
  const { tabs, send, onDone } = options;
  let underWay: { controller: AbortController; done: Promise<void> } | undefined;
  let isUnsent = false;

  function finish(controller: AbortController, wasTold: boolean): void {
    // Called off by a login, which ends the session of the old cookie too.
    if (underWay?.controller !== controller) return;
    underWay = undefined;
    isUnsent = !wasTold;
    const marker = tabs.marker();
    if (wasTold && marker?.state === 'logout-pending') tabs.mark({ ...marker, state: 'ended' });
    onDone(wasTold);
  }

  const logout = {
    /** It is to be tried again. */
    isDue: (): boolean => isUnsent && !underWay,
    /** Another tab, or this page before it was loaded anew, has left one behind. */
    remember(): void {
      isUnsent = true;
    },
    /** Settles when the server was told or the attempt failed. `again`: only if no other tab has done it meanwhile. */
    send(again: boolean): Promise<void> {
      if (underWay) return underWay.done;
      const controller = new AbortController();
      const call = async () => {
        const marker = tabs.marker();
        if (!again || !marker || marker.state === 'logout-pending') await send(controller);
      };
      const done = tabs.underLock(controller.signal, LOCK_MS, false, call).then(
        () => finish(controller, true),
        () => finish(controller, false),
      );
      underWay = { controller, done };
      return done;
    },
    /** For whoever asks once more: the one under way, or one that has failed. */
    settled: (): Promise<void> => underWay?.done ?? (isUnsent ? logout.send(false) : Promise.resolve()),
    /** Its answer would delete the cookie of a login. */
    callOff(): void {
      const called = underWay;
      underWay = undefined;
      isUnsent = false;
      called?.controller.abort();
    },
  };
  return logout;
}
