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
import { bounded, defaultEnvironment, TIMER_MAX_MS, type PageEvent } from './environment.ts';
import { isGrant, parseOutcome, type Grant, type Person, type RefreshOutcome, type SessionEndReason } from './grant.ts';
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

const REFRESH_TIMEOUT_MS = 10_000;
const COOLDOWN = { baseMs: 1_000, maxMs: 30_000 };
/** Between two retries in the background, however short the cooldown of the app. */
const BACKGROUND_MIN_MS = 500;

const READY: Renewal = { kind: 'ready' };
const ENDED: Renewal = { kind: 'ended' };
const DISPOSED: Renewal = { kind: 'disposed' };

/** Why refreshing pauses although the server answers. The token stays in use: it may be refused by one procedure only. */
const FRESH_REFUSED = new Error('The server has refused a fresh token.');

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
  const timeoutMs = options.refreshTimeoutMs ?? REFRESH_TIMEOUT_MS;
  const tabs = createTabs(options.name ?? 'latchkey', environment, onMessage);
  const backoff = createBackoff(environment, options.cooldown ?? COOLDOWN);
  const logout = createLogout(
    tabs,
    (controller) => bounded(environment, controller, timeoutMs, options.logout),
    (isTold) => {
      if (!isTold) backoff.fail();
      schedule();
    },
  );
  const listeners = new Set<() => void>();
  /** Streams that wait for the next token. */
  const waiters = new Set<() => void>();

  let state: SessionState<TUser> = { status: 'unknown' };
  /** The session that this page belongs to, from the first sign-in to the end of the document. */
  let owner: string | undefined;
  let token: Token<TUser> | undefined;
  let tokenVersion = 0;
  let flight: { controller: AbortController; result: Promise<Renewal> } | undefined;
  let started: Promise<void> | undefined;
  /** The session of a sign-in in another tab, until this page, which knows none, has an answer about it. */
  let heard: string | undefined;
  /** The session that this browser was in when the server was last asked, by what other tabs said. */
  let asked: string | undefined;
  /** The session that another tab has last signed out of: against an answer that is still under way. */
  let left: string | undefined;
  let isDisposed = false;
  let cancelAlarm: (() => void) | undefined;

  /** Only `schedule` may follow in a step: a listener may call anything, and must not see half of one. */
  function publish(next: SessionState<TUser>): void {
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    notify();
  }

  function publishToken(): void {
    if (!token) return;
    const { user, session } = token.grant;
    publish({ status: 'signed-in', user, session, stale: token.isStale });
  }

  function notify(): void {
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
  const isReplaced = () => state.status === 'signed-out' && state.reason === 'replaced';
  const isDoubted = () => backoff.cause() === FRESH_REFUSED;

  function accept(grant: Grant<TUser>): void {
    const { id, generation } = grant.session;
    // The refusals may go on: the pauses must not start over at the shortest.
    if (isDoubted() && token?.isStale) backoff.skip();
    else backoff.reset();
    // With every token, not only the first: another tab may have been refused meanwhile, because a late answer had put an old
    // cookie back into the jar, and taken itself for a guest. This answer has brought the right cookie.
    announce(grant);
    owner = id;
    heard = undefined;
    token = createToken(grant, environment, options.proactive);
    tokenVersion++;
    report({ kind: 'refreshed', generation });
    releaseWaiters();
    publishToken();
    schedule();
  }

  function announce({ session, user }: Grant<TUser>): void {
    const who = { sessionId: session.id, userId: user.id };
    tabs.mark({ ...who, state: 'active' });
    tabs.post({ kind: 'signed-in', ...who });
  }

  /** Signs out here. Final if the page has known a session. */
  function leave(reason: string): Renewal {
    token = undefined;
    heard = undefined;
    backoff.reset();
    endFlight();
    releaseWaiters();
    if (state.status !== 'signed-out' || reason === 'replaced') {
      report({ kind: 'signed-out', reason });
      publish({ status: 'signed-out', reason });
    }
    schedule();
    return ENDED;
  }

  /** The browser is in another session now, or about to be: this page ends, and a new document takes over. */
  function replace(url?: string): Renewal {
    environment.openDocument(url);
    return leave('replaced');
  }

  /** The server has said so. */
  function endSession(reason: SessionEndReason): Renewal {
    const marker = tabs.marker();
    // Not over the marker of somebody who has signed in since.
    if (marker && (owner ?? marker.sessionId) === marker.sessionId) tabs.mark({ ...marker, state: 'ended', reason });
    // A page that knows no session cannot tell whose cookie was refused: a late answer may have put an old one back into the
    // jar. It notes that for the next load, but tells nobody.
    if (owner !== undefined) tabs.post({ kind: 'signed-out', sessionId: owner, reason });
    return leave(reason);
  }

  function releaseWaiters(): void {
    for (const run of waiters) run();
    waiters.clear();
  }

  /** Asks the server for a token. */
  function startRefresh(): Promise<Renewal> | Renewal {
    if (token?.endReason) return endSession(token.endReason);
    cancelAlarm?.();
    asked = markedSession() ?? heard;
    const { promise: result, resolve } = Promise.withResolvers<Renewal>();
    const controller = new AbortController();
    flight = { controller, result };
    const why = !token ? 'no token' : token.leftMs() <= 0 ? 'expired' : token.isStale ? 'refused' : 'ahead of time';
    report({ kind: 'refreshing', why });
    resolve(requestToken(controller));
    return result;
  }

  async function requestToken(controller: AbortController): Promise<Renewal> {
    const outcome = await bounded(environment, controller, timeoutMs, options.refresh)
      .then(parseOutcome)
      .catch((cause) => ({ kind: 'unavailable', cause }) as const);
    // A sign-in, a sign-out or the back/forward cache was faster: the answer is void.
    if (flight?.controller !== controller) return standing() ?? { kind: 'unavailable', retryAfterMs: 0 };
    flight = undefined;
    const renewal = commit(outcome);
    schedule();
    return renewal;
  }

  /** Over at once: those who wait for it go on, and an answer that still comes is ignored. */
  function endFlight(): void {
    flight?.controller.abort();
    flight = undefined;
  }

  function commit(outcome: RefreshOutcome<TUser>): Renewal | Promise<Renewal> {
    if (outcome.kind === 'unavailable') {
      asked = undefined;
      return fail(outcome.cause, outcome.retryAfterMs);
    }
    const latest = news();
    if (latest !== undefined && !(outcome.kind === 'granted' && outcome.grant.session.id === latest))
      // Another tab has signed in since this was sent: the answer is about the cookie of before.
      return owner === undefined ? startRefresh() : replace();
    if (outcome.kind === 'ended') {
      const { reason } = outcome;
      if (!token?.isUsable() || (reason !== 'none' && reason !== 'expired')) return endSession(reason);
      token.endReason = reason;
      return READY;
    }
    const { id, generation } = outcome.grant.session;
    const marker = tabs.marker();
    // Another tab has signed out meanwhile: logout wins.
    if (id === left || (id === marker?.sessionId && marker.reason === 'logout')) return leave('logout');
    if (owner !== undefined && owner !== id) return replace();
    // The same generation is fine: the server has just rotated, or an answer was lost.
    if (token && generation < token.grant.session.generation)
      return fail(new Error('The server answered with an older generation of the session.'));
    accept(outcome.grant);
    return READY;
  }

  function fail(cause: unknown, retryAfterMs?: number): Renewal {
    backoff.fail(cause, retryAfterMs);
    report(pause());
    return pause();
  }

  const pause = () => ({ kind: 'unavailable', retryAfterMs: backoff.leftMs(), cause: backoff.cause() }) as const;

  /** What waiting for a token newer than version `from` comes to, if that is certain. */
  function standing(from = 0): Renewal | undefined {
    if (isDisposed) return DISPOSED;
    if (state.status === 'signed-out') return ENDED;
    return from < tokenVersion && token?.isUsable() ? READY : undefined;
  }

  async function renew(from: number, isFinal = false): Promise<Renewal> {
    if (!started) void session.start();
    const known = standing(from);
    if (known) return known;
    if (token?.isUsable() && (isFinal || (isDoubted() && token.isFresh()))) backoff.fail(FRESH_REFUSED);
    if (token) token.isStale = true;
    const renewal = flight?.result ?? (backoff.leftMs() > 0 ? pause() : startRefresh());
    publishToken();
    schedule();
    return renewal;
  }

  function needsRenewal(): boolean {
    if (isDisposed || state.status === 'signed-out') return false;
    return !token || token.leftMs() <= 0 || (token.isStale && !(isDoubted() && !flight));
  }

  /** Until there is something to do in the background; Infinity: nothing. */
  function dueInMs(): number {
    const isIdle = state.status === 'signed-out' && heard === undefined && !logout.isDue();
    if (isDisposed || !started || flight || isIdle) return Infinity;
    return Math.max(backoff.leftMs(), token?.dueInMs() ?? 0);
  }

  function schedule(): void {
    cancelAlarm?.();
    const ms = Math.max(backoff.hasFailed() ? BACKGROUND_MIN_MS : 0, dueInMs());
    if (ms === Infinity || (!page && waiters.size === 0)) return;
    cancelAlarm = environment.setTimer(tick, Math.min(ms, TIMER_MAX_MS), waiters.size === 0);
  }

  function tick(): void {
    if (dueInMs() > 0) return schedule();
    // A hidden page waits until it is looked at, unless something in it waits.
    const isWanted = (page?.online() ?? true) && (waiters.size > 0 || page?.visible());
    if (!isWanted && !token?.endReason) return;
    if (logout.isDue()) void logout.send();
    else void startRefresh();
  }

  function onPage(event: PageEvent): void {
    if (event === 'hide') {
      // An open request or channel keeps a page out of the back/forward cache.
      endFlight();
      cancelAlarm?.();
      return tabs.close();
    }
    tabs.open();
    // Restored from the back/forward cache after it was left for its successor.
    if (isReplaced() && event === 'show') return environment.openDocument();
    // What failed without a network may be tried again; what the server asked for stands.
    if (event === 'online') backoff.skip({ unlessOrdered: true });
    reconcile();
    tick();
  }

  function markedSession(): string | undefined {
    const marker = tabs.marker();
    return marker?.state === 'active' ? marker.sessionId : undefined;
  }

  /** A session that another tab has signed in to, if it is not that of this page and the server was not asked since. */
  function news(): string | undefined {
    // The marker first: it is written before the message is posted, so it is never the older of the two.
    const latest = markedSession() ?? heard;
    return latest === owner || latest === asked ? undefined : latest;
  }

  /** While this tab slept others may have signed out, or in as somebody else: the marker knows. */
  function reconcile(): void {
    const marker = tabs.marker();
    if (!marker || !started || isReplaced()) return;
    const latest = news();
    if (latest !== undefined) return onSignedIn(latest);
    if (marker.state === 'active') return;
    if (state.status === 'signed-out') {
      if (marker.state === 'logout-pending') logout.remember(marker);
    } else if (owner !== undefined && marker.sessionId !== owner && marker.sessionId !== '') replace();
    else if (!flight) leave(marker.reason ?? 'logout');
  }

  function onMessage(message: TabMessage): void {
    const { sessionId } = message;
    if (message.kind === 'signed-out') {
      left = sessionId;
      if (owner === sessionId && state.status === 'signed-in') leave(message.reason);
      return;
    }
    // Where the marker still names the session of this page, the message is an old one.
    const isOld = token !== undefined && markedSession() === owner;
    if (sessionId !== owner && !isOld) onSignedIn(sessionId);
  }

  /** The browser is in the session `sessionId`, which is not that of this page. */
  function onSignedIn(sessionId: string): void {
    if (logout.sessionId() !== sessionId) logout.drop();
    if (isReplaced()) return;
    if (owner !== undefined) return void replace();
    heard = sessionId;
    asked = undefined;
    tick();
  }

  async function boot(): Promise<void> {
    const marker = tabs.marker();
    const hasCookie = options.refreshOnFirstVisit;
    const isGuest =
      marker === undefined
        ? hasCookie === false && tabs.canRemember()
        : // With a cookie, somebody may have signed in since without this code: after a redirect by the server, say.
          marker.state === 'logout-pending' || (marker.state === 'ended' && hasCookie !== true);
    if (!isGuest) return void (await startRefresh());
    if (marker?.state === 'logout-pending') logout.remember(marker);
    void logout.send();
    publish({ status: 'signed-out' });
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
      started ??= Promise.resolve();
      logout.drop();
      if (owner !== undefined && (owner !== grant.session.id || state.status === 'signed-out')) {
        announce(grant);
        replace(url);
      } else {
        endFlight();
        accept(grant);
      }
    },
    signOut() {
      if (isDisposed) return Promise.resolve();
      // Not the session of somebody who has signed in since.
      if (owner !== undefined) reconcile();
      if (state.status === 'signed-out') return logout.send();
      started ??= Promise.resolve();
      const known = token ? { sessionId: token.grant.session.id, userId: token.grant.user.id } : tabs.marker();
      const marker: Marker = { sessionId: '', userId: '', ...known, state: 'logout-pending', reason: 'logout' };
      // Before the server is told: it has to survive a reload without a network.
      tabs.mark(marker);
      tabs.post({ kind: 'signed-out', sessionId: marker.sessionId, reason: 'logout' });
      logout.remember(marker);
      const told = logout.send();
      leave('logout');
      return told;
    },
    async accessToken() {
      const renewal = needsRenewal() ? await renew(tokenVersion) : READY;
      if (renewal.kind === 'unavailable') throw Object.assign(new Error(), unavailableDetails(renewal));
      if (!token) throw new Error('Nobody is signed in.');
      return token.grant.accessToken;
    },
    tokenExpiresInMs: () => token?.leftMs(),
    ended(reason, sessionId) {
      if (owner === sessionId && state.status === 'signed-in') endSession(reason);
    },
    userChanged(user) {
      if (token?.grant.user.id !== user.id) return;
      token.grant = { ...token.grant, user };
      publishToken();
    },
    retry() {
      backoff.skip();
      tick();
    },
    dispose() {
      if (isDisposed) return;
      isDisposed = true;
      token = undefined;
      endFlight();
      logout.drop();
      cancelAlarm?.();
      stopListening?.();
      tabs.close();
      releaseWaiters();
      // Open streams close, although the state stays as it is.
      notify();
      listeners.clear();
    },
  };

  internals.set(session, {
    bearer: () => token && { accessToken: token.grant.accessToken, tokenVersion },
    needsRenewal,
    renew,
    onceRenewed(run) {
      waiters.add(run);
      schedule();
      return () => {
        if (waiters.delete(run)) schedule();
      };
    },
    isOver: () => isDisposed || state.status === 'signed-out',
    isFresh: (of) => of === tokenVersion && token?.isFresh() === true,
  });

  tabs.open();
  const stopListening = page?.listen(onPage);
  return session;
}
