/**
 * Who is signed in on this page, and the access token that proves it. Framework-free; the refresh link builds on it.
 *
 *   unknown ──▶ signed-in ──▶ signed-out (final)
 *   unknown ──▶ signed-out ──▶ signed-in ──▶ signed-out (final)
 *
 * A page belongs to one session for good: whoever signs in later, or whose cookie turns up, gets a new document. So what
 * one person leaves behind, a call in flight or an unmount effect, never meets the next. At most one refresh is in flight.
 * Tabs need no lock: the server gives racing refreshes the same generation of the session.
 */
import { createBackoff } from './backoff.ts';
import { bounded, defaultEnvironment, stopwatch, TIMER_MAX_MS, type PageEvent } from './environment.ts';
import {
  isGrant,
  parseOutcome,
  unavailable,
  type Grant,
  type Person,
  type RefreshOutcome,
  type SessionEndReason,
} from './grant.ts';
import { createLogout } from './logout.ts';
import { createTabs, type Marker, type TabMessage } from './tabs.ts';
import { createToken, type Token } from './token.ts';
import type {
  Internals,
  Renewal,
  Session,
  SessionEvent,
  SessionOptions,
  SessionState,
  UnavailableRenewal,
} from './types.ts';

interface Flight {
  readonly controller: AbortController;
  /** What this browser was in when the request was sent. */
  readonly marker: Marker | undefined;
  /** The sign-in that it was sent for. */
  readonly news: string | undefined;
  readonly result: Promise<Renewal>;
  readonly settle: (result: Renewal | Promise<Renewal>) => void;
}

const REFRESH_TIMEOUT_MS = 10_000;
const COOLDOWN = { baseMs: 1_000, maxMs: 30_000 };
/** Between two retries in the background, however short the cooldown of the app. */
const BACKGROUND_MIN_MS = 500;

const READY: Renewal = { kind: 'ready' };
const ENDED: Renewal = { kind: 'ended' };
const DISPOSED: Renewal = { kind: 'disposed' };

const internals = new WeakMap<object, Internals>();

/** @throws TypeError for a session that `createSession` has not made */
export function internalsOf(session: Session): Internals {
  const found = internals.get(session);
  if (!found) throw new TypeError('Not a session made by createSession().');
  return found;
}

/** Of the error of a call that was not run because its token could not be renewed. */
export function unavailableDetails({ retryAfterMs, cause }: UnavailableRenewal) {
  const message = 'The session could not be refreshed. Please try again.';
  return { message, meta: { refresh: 'unavailable', retryAfterMs }, ...(cause instanceof Error && { cause }) };
}

/** Creates the session of a page: one, at module level. Does nothing until `start`, or until an operation needs a token. */
export function createSession<TUser extends Person>(options: SessionOptions<TUser>): Session<TUser> {
  const environment = { ...defaultEnvironment(), ...options.environment };
  const { page } = environment;
  const tabs = createTabs(options.name ?? 'latchkey', environment, onMessage);
  const timeoutMs = options.refreshTimeoutMs ?? REFRESH_TIMEOUT_MS;
  const cooldown = options.cooldown ?? COOLDOWN;
  const backoff = createBackoff(environment, cooldown);
  const logout = createLogout(
    tabs,
    (controller) => bounded(environment, controller, timeoutMs, options.logout),
    (isTold) => {
      if (!isTold) backoff.afterFailure();
      schedule();
    },
  );
  const listeners = new Set<() => void>();
  /** Streams that wait for the next token. */
  const waiters = new Set<() => void>();
  /** Sessions known to be over: against answers and messages that are still under way. */
  const over = new Set<string>();
  /** What the marker named when a guest's cookie was refused. */
  let refused: string | undefined;

  let state: SessionState<TUser> = { status: 'unknown' };
  /** The session that this page belongs to, from the first sign-in to the end of the document. */
  let owner: string | undefined;
  let token: Token<TUser> | undefined;
  let serial = 0;
  let flight: Flight | undefined;
  let started: Promise<void> | undefined;
  /** The session of a sign-in that this page has heard of but not asked the server about; it knows none itself. */
  let news: string | undefined;
  /** Why the last refresh failed; undefined if the server refused a fresh token instead. */
  let lastCause: unknown;
  /** The server refuses even fresh tokens, so refreshing must not start over at the shortest pause. */
  let isRefusedFresh = false;
  let isReplaced = false;
  let isDisposed = false;
  let isDirty = false;
  let cancelAlarm: (() => void) | undefined;

  function publish(next: SessionState<TUser>): void {
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    isDirty = true;
  }

  function publishToken(): void {
    if (token)
      publish({ status: 'signed-in', user: token.grant.user, session: token.grant.session, stale: token.isStale });
  }

  /** At the end of every step, so that no listener sees half of one. */
  function notify(): void {
    if (!isDirty) return;
    isDirty = false;
    for (const listener of new Set(listeners)) if (listeners.has(listener)) guarded(listener);
  }

  /** The app's mistake must reach window.onerror, and neither the other listeners nor the session. */
  function guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  const report = (event: SessionEvent) => guarded(() => options.onEvent?.(event));

  function accept(grant: Grant<TUser>): void {
    const { id, generation } = grant.session;
    const isFirst = owner === undefined;
    owner = id;
    news = undefined;
    isRefusedFresh &&= token?.isStale === true;
    if (isRefusedFresh) backoff.skip();
    else backoff.reset();
    token = createToken(grant, environment, options.proactive || {});
    serial++;
    const marker = tabs.marker();
    const isMarked = marker?.sessionId === id && marker.state === 'active';
    if (!isMarked) remember(grant);
    // Not only once: another tab may have been refused meanwhile, with an old cookie, and taken itself for a guest.
    if (isFirst || !isMarked) announce(grant);
    report({ kind: 'refreshed', generation });
    publishToken();
    releaseWaiters();
    schedule();
  }

  function remember({ session, user }: Grant<TUser>): void {
    tabs.mark({ sessionId: session.id, userId: user.id, state: 'active' });
  }

  function announce({ session, user }: Grant<TUser>): void {
    tabs.post({ kind: 'signed-in', sessionId: session.id, userId: user.id });
  }

  /** Signs out here. Final if the page has known a session. */
  function leave(reason: string): void {
    if (owner !== undefined) over.add(owner);
    token = undefined;
    news = undefined;
    isRefusedFresh = false;
    backoff.reset();
    if (state.status !== 'signed-out' || reason === 'replaced') {
      report({ kind: 'signed-out', reason });
      publish({ status: 'signed-out', reason });
    }
    endFlight(ENDED);
    releaseWaiters();
    schedule();
  }

  /** The browser is in another session now, or about to be: this page ends, and a new document takes over. */
  function replace(url?: string): void {
    isReplaced = true;
    leave('replaced');
    environment.openDocument(url);
  }

  /** The server has said so. */
  function endSession(reason: SessionEndReason): void {
    const marker = tabs.marker();
    leave(reason);
    if (owner === undefined) refused = marker?.sessionId;
    // A page that knows no session cannot tell whose cookie was refused: a late answer may have put an old one back into the
    // jar. It notes that for the next load, but tells nobody.
    else tabs.post({ kind: 'signed-out', sessionId: owner, reason });
    // Not over the marker of somebody who has signed in since.
    if (marker && (owner ?? marker.sessionId) === marker.sessionId) tabs.mark({ ...marker, state: 'ended', reason });
  }

  function releaseWaiters(): void {
    const released = [...waiters];
    waiters.clear();
    for (const run of released) run();
  }

  function launch(): Flight {
    cancelAlarm?.();
    const { promise, resolve } = Promise.withResolvers<Renewal>();
    const controller = new AbortController();
    const mine: Flight = { controller, marker: tabs.marker(), news, result: promise, settle: resolve };
    flight = mine;
    news = undefined;
    const why = !token ? 'no token' : token.leftMs() <= 0 ? 'expired' : token.isStale ? 'refused' : 'ahead of time';
    report({ kind: 'refreshing', why });
    void fly(mine);
    return mine;
  }

  async function fly(mine: Flight): Promise<void> {
    const outcome = await bounded(environment, mine.controller, timeoutMs, options.refresh)
      .then(parseOutcome)
      .catch(unavailable);
    // A sign-in or sign-out was faster: the answer is void.
    if (flight !== mine) return;
    flight = undefined;
    mine.settle(commit(outcome, mine));
    schedule();
    notify();
  }

  /** Over at once: those who wait for it go on, and an answer that still comes is ignored. */
  function endFlight(result: Renewal): void {
    const ending = flight;
    flight = undefined;
    ending?.settle(result);
    ending?.controller.abort();
  }

  function commit(outcome: RefreshOutcome<TUser>, asked: Flight): Renewal | Promise<Renewal> {
    if (outcome.kind === 'unavailable') {
      news ??= asked.news;
      return fail(outcome.cause, outcome.retryAfterMs);
    }
    const marker = tabs.marker();
    const answered = outcome.kind === 'granted' ? outcome.grant.session.id : undefined;
    const isMarkedAnew = marker?.state === 'active' && marker.sessionId !== asked.marker?.sessionId;
    const latest = news ?? (isMarkedAnew ? marker.sessionId : undefined);
    if (latest !== undefined && latest !== owner && latest !== answered) {
      // Another tab has signed in since this was sent: the answer is about the cookie of before.
      if (owner === undefined) return launch().result;
      replace();
      return ENDED;
    }
    if (outcome.kind === 'ended') {
      const { reason } = outcome;
      if (token?.isUsable() && (reason === 'none' || reason === 'expired')) {
        token.endReason = reason;
        return READY;
      }
      endSession(reason);
      return ENDED;
    }
    const { id, generation } = outcome.grant.session;
    // Another tab has signed out meanwhile: logout wins.
    if (over.has(id) || (marker?.sessionId === id && marker.reason === 'logout')) {
      leave('logout');
      return ENDED;
    }
    if (owner !== undefined && owner !== id) {
      replace();
      return ENDED;
    }
    // The same generation is fine: the server has just rotated, or an answer was lost.
    if (token && generation < token.grant.session.generation)
      return fail(new Error('The server answered with an older generation of the session.'));
    accept(outcome.grant);
    return READY;
  }

  function fail(cause: unknown, orderedMs?: number): Renewal {
    backoff.afterFailure(orderedMs);
    lastCause = cause;
    const renewal = { kind: 'unavailable', retryAfterMs: backoff.leftMs(), cause } as const;
    report(renewal);
    return renewal;
  }

  function refuseFresh(): void {
    if (token) token.isStale = true;
    isRefusedFresh = true;
    lastCause = undefined;
    backoff.afterFailure();
  }

  async function renew(from: number): Promise<Renewal> {
    if (isDisposed) return DISPOSED;
    if (!started) void session.start();
    if (state.status === 'signed-out') return ENDED;
    if (from < serial && token?.isUsable()) return READY;
    if (token?.endReason) {
      endSession(token.endReason);
      notify();
      return ENDED;
    }
    // Refreshed for a refusal and refused again, before it can have expired: another refresh would be no better.
    if (isRefusedFresh && token?.isUsable() && token.ageMs() < Math.min(cooldown.maxMs, token.lifetimeMs / 2))
      refuseFresh();
    if (token) token.isStale = true;
    publishToken();
    const retryAfterMs = flight ? 0 : backoff.leftMs();
    const renewal =
      retryAfterMs > 0
        ? ({ kind: 'unavailable', retryAfterMs, cause: lastCause } as const)
        : (flight ?? launch()).result;
    schedule();
    notify();
    return renewal;
  }

  function needsRenewal(): boolean {
    if (isDisposed || state.status === 'signed-out') return false;
    // A fresh token that is refused is still sent: the refusal may be about that one procedure.
    const isWaiting = flight !== undefined || (backoff.failed && !isRefusedFresh);
    return !token || token.leftMs() <= 0 || (token.isStale && isWaiting);
  }

  /** Until there is something to do in the background. */
  function dueInMs(): number | undefined {
    if (isDisposed || isReplaced || flight) return undefined;
    if (logout.isDue()) return backoff.leftMs();
    if (state.status === 'signed-out') return news !== undefined ? backoff.leftMs() : undefined;
    if (!token) return started && backoff.leftMs();
    if (token.endReason) return token.leftMs();
    if (token.isStale) return backoff.leftMs();
    return options.proactive === false ? undefined : Math.max(backoff.leftMs(), token.dueInMs());
  }

  function schedule(): void {
    cancelAlarm?.();
    cancelAlarm = undefined;
    const ms = dueInMs();
    if (ms === undefined || (!page && waiters.size === 0)) return;
    const atLeastMs = backoff.failed ? BACKGROUND_MIN_MS : 0;
    cancelAlarm = environment.setTimer(tick, Math.min(Math.max(atLeastMs, ms), TIMER_MAX_MS), waiters.size === 0);
  }

  function tick(): void {
    const ms = dueInMs();
    if (ms === undefined) return;
    if (ms > 0) return schedule();
    if (token?.endReason) endSession(token.endReason);
    // A hidden page waits until it is looked at, unless something in it waits.
    else if ((page?.online() ?? true) && (waiters.size > 0 || page?.visible())) {
      if (logout.isDue()) void logout.send();
      else launch();
    }
    notify();
  }

  function onPage(event: PageEvent): void {
    if (event === 'hide') {
      // An open request or channel keeps a page out of the back/forward cache.
      endFlight({ kind: 'unavailable', retryAfterMs: 0 });
      cancelAlarm?.();
      return tabs.close();
    }
    tabs.open();
    // Restored from the back/forward cache after it was left for its successor.
    if (isReplaced && event === 'show') return environment.openDocument();
    // What failed without a network may be tried again; what the server asked for stands.
    if (event === 'online') backoff.skip({ unlessOrdered: true });
    reconcile();
    tick();
    notify();
  }

  /** While this tab slept others may have signed out, or in as somebody else: the marker knows. */
  function reconcile(): void {
    const marker = tabs.marker();
    if (!marker || isReplaced || !started) return;
    const isOther = marker.sessionId !== owner && marker.sessionId !== '';
    if (marker.state === 'active') {
      if (isOther && !over.has(marker.sessionId) && marker.sessionId !== refused) onSignedIn(marker.sessionId);
    } else if (owner !== undefined && isOther) {
      if (state.status === 'signed-in') replace();
    } else if (state.status !== 'signed-out') {
      if (!flight) leave(marker.reason ?? 'logout');
    } else if (marker.state === 'logout-pending') logout.remember(marker);
  }

  function onMessage(message: TabMessage): void {
    const { sessionId } = message;
    if (isReplaced || isDisposed) return;
    if (message.kind === 'signed-out') {
      over.add(sessionId);
      if (owner === sessionId && state.status === 'signed-in') leave(message.reason);
    } else if (sessionId !== owner && !over.has(sessionId)) {
      const marker = tabs.marker();
      // Where the marker still names the session of this page, the message is an old one.
      const isOld = token && marker?.sessionId === owner && marker?.state === 'active';
      if (!isOld) onSignedIn(sessionId);
    }
    notify();
  }

  /** The browser is in the session `sessionId`, which is not that of this page. */
  function onSignedIn(sessionId: string): void {
    if (logout.sessionId() !== sessionId) logout.drop();
    if (owner !== undefined) return replace();
    if (!started) return;
    news = sessionId;
    tick();
  }

  async function boot(): Promise<void> {
    const marker = tabs.marker();
    const isGuest = marker ? marker.state !== 'active' : options.refreshOnFirstVisit === false && tabs.canRemember();
    if (!isGuest) return void (await launch().result);
    publish({ status: 'signed-out' });
    if (marker?.state === 'logout-pending') logout.remember(marker);
    void logout.send();
    notify();
  }

  const session: Session<TUser> = {
    get state() {
      return state;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start() {
      if (isDisposed) return Promise.resolve();
      return (started ??= boot());
    },
    signIn(grant, url) {
      if (!isGrant(grant)) throw new TypeError('signIn() takes the grant that a sign-in was answered with.');
      if (isDisposed) return;
      const { id } = grant.session;
      started ??= Promise.resolve();
      logout.drop();
      const isNew = owner !== undefined && (owner !== id || state.status === 'signed-out');
      over.delete(id);
      if (isNew) {
        remember(grant);
        announce(grant);
        replace(url);
      } else {
        endFlight(READY);
        accept(grant);
      }
      notify();
    },
    signOut() {
      if (isDisposed) return Promise.resolve();
      // Not the session of somebody who has signed in since.
      if (owner !== undefined) reconcile();
      notify();
      if (state.status === 'signed-out') return logout.send();
      const known = tabs.marker();
      const sessionId = owner ?? known?.sessionId ?? '';
      const userId = token?.grant.user.id ?? known?.userId ?? '';
      const marker: Marker = { sessionId, userId, state: 'logout-pending', reason: 'logout' };
      started ??= Promise.resolve();
      leave('logout');
      // Before the server is told: it has to survive a reload without a network.
      tabs.mark(marker);
      if (sessionId !== '') tabs.post({ kind: 'signed-out', sessionId, reason: 'logout' });
      logout.remember(marker);
      const told = logout.send();
      notify();
      return told;
    },
    async accessToken() {
      const renewal = needsRenewal() ? await renew(serial) : READY;
      if (renewal.kind === 'unavailable') throw Object.assign(new Error(), unavailableDetails(renewal));
      if (!token) throw new Error('Nobody is signed in.');
      return token.grant.accessToken;
    },
    tokenExpiresInMs: () => token?.leftMs(),
    ended(reason, sessionId) {
      if (owner !== sessionId || state.status !== 'signed-in') return;
      endSession(reason);
      notify();
    },
    userChanged(user) {
      if (token?.grant.user.id !== user.id) return;
      token.grant = { ...token.grant, user };
      publishToken();
      notify();
    },
    retry() {
      backoff.skip();
      tick();
    },
    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      token = undefined;
      endFlight(DISPOSED);
      logout.drop();
      cancelAlarm?.();
      stopListening?.();
      tabs.close();
      releaseWaiters();
      // Open streams close, although the state stays as it is.
      isDirty = true;
      notify();
      listeners.clear();
    },
  };

  internals.set(session, {
    bearer: () => token && { accessToken: token.grant.accessToken, serial },
    needsRenewal,
    renew,
    refusedAgain(from) {
      if (from !== serial || flight || !token || token.isStale) return;
      refuseFresh();
      publishToken();
      schedule();
      notify();
    },
    onceRenewed(run) {
      waiters.add(run);
      schedule();
      return () => {
        if (waiters.delete(run)) schedule();
      };
    },
    isOver: () => isDisposed || state.status === 'signed-out',
    lifetimeMs: () => token?.lifetimeMs ?? Infinity,
    stopwatch: () => stopwatch(environment),
  });

  tabs.open();
  const stopListening = page?.listen(onPage);
  return session;
}
