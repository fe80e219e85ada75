/**
 * Who is signed in on this page, and the access token that proves it. Framework-free; the refresh link works on it.
 *
 *   unknown ──granted──▶ signed-in ⇄ stale (the token is known to be dead, the session is not)
 *      └────ended────▶ signed-out ◀──ended, logged out──┘
 *
 * Beside it at most one *flight*: a refresh under way. Three things make it right, whatever order answers arrive in:
 * - `serial` counts the tokens taken. A refusal of an older token than the current one asks for no refresh.
 * - `epoch` counts changes of person or session, at once and before anything else. What began under another is void.
 * - the server gives racing refreshes the same generation of the session, so a race between tabs has no loser.
 * Locks, channel and storage (session-tabs.ts) only make that cheaper.
 */
import { grantSchema, type Grant, type User } from '../../shared/auth.ts';
import type { SessionEndReason } from '../../shared/failures.ts';
import { parseOutcome, unavailable, type RefreshOutcome, type Unavailable } from './refresh-outcome.ts';
import {
  bounded,
  defaultEnvironment,
  stopwatch,
  TIMER_MAX_MS,
  watch,
  type PageEvent,
  type SessionEnvironment,
} from './session-environment.ts';
import { cores, type Renewal } from './session-core.ts';
import { createLogout } from './session-logout.ts';
import { createRest } from './session-rest.ts';
import { createTabs, type TabMessage } from './session-tabs.ts';
import { createToken, type Lead, type Token } from './session-token.ts';

export type { Grant, RefreshOutcome, SessionEnvironment, User };

export interface SessionOptions {
  /** A plain request, never through a client that waits for this session. Must not use `keepalive`. */
  refresh(o: { signal: AbortSignal }): Promise<RefreshOutcome>;
  /** Ends the session on the server; rejects if the server could not be told. */
  logout(o: { signal: AbortSignal }): Promise<void>;
  /** Of the lock, the channel and the marker: what the tabs of one app have in common. */
  name?: string;
  /** When a refresh, or a logout, is given up. */
  refreshTimeoutMs?: number;
  /** How long to wait for the refresh of another tab. By default longer than that can take. */
  lockTimeoutMs?: number;
  /** Refreshing ahead of time, while the page is looked at: how long before the token expires, and spread by how much. */
  proactive?: false | Lead;
  /** The rest after a refresh that could not be had; doubles with each. */
  cooldown?: { baseMs: number; maxMs: number };
  /**
   * Whether `start` asks the server where nothing is remembered of a login in this browser. Default: true. An app that
   * knows that there is no cookie (no script can see it) says false, and spares its guests a refused request.
   */
  refreshOnFirstVisit?: boolean;
  environment?: Partial<SessionEnvironment>;
}

export type SessionState =
  | { status: 'unknown' }
  | { status: 'signed-in'; user: User; session: { id: string; generation: number }; stale: boolean }
  | { status: 'signed-out'; reason?: string };

export interface Session {
  /** The same object until it changes. `reason` is a `SessionEndReason`, `logout`, or absent for who never logged in. */
  readonly state: SessionState;
  /** @returns how to stop listening */
  subscribe(listener: () => void): () => void;
  /** Signs in silently, from the cookie. Settles when the first refresh has, whatever the answer; never rejects. */
  start(): Promise<void>;
  /** Takes the answer of register or login. @throws TypeError if it is no grant */
  signIn(grant: Grant): void;
  /** Signs out at once. Resolves when the server was told, or could not be, which is remembered and tried again. */
  signOut(): Promise<void>;
  /** The server says, on another way than a refresh, that the session `sessionId` is over. Other tabs hear of it. */
  ended(reason: SessionEndReason, sessionId: string): void;
  /** The person signed in has changed their data. Other tabs hear of it. */
  userChanged(user: User): void;
  /** Somebody does not want to wait: tries at once what would be tried again after a rest. */
  retry(): void;
  dispose(): void;
}

interface Flight {
  readonly controller: AbortController;
  /** Of the token that was current when it began. */
  readonly serial: number;
  /** By the wall clock. */
  readonly since: number;
  readonly result: Promise<Renewal>;
  readonly settle: (result: Renewal) => void;
  /** The request is under way; before that, it waits for other tabs. */
  sent: boolean;
}

const REFRESH_TIMEOUT_MS = 10_000;
/** Beyond the timeout of a refresh: then a holder of the lock that lives has let go of it. */
const LOCK_MARGIN_MS = 2_000;
const COOLDOWN = { baseMs: 1_000, maxMs: 30_000 };
/** What the background waits at least after a failure, however short the rest is that an app wants. */
const BACKGROUND_MIN_MS = 500;
/** How long another tab gets to hand over a token that the marker says it has, or the lock that it has had. */
const NEED_MS = 150;

const READY: Renewal = { kind: 'ready' };
const ENDED: Renewal = { kind: 'ended' };
const SUPERSEDED: Renewal = { kind: 'superseded' };
const DISPOSED: Renewal = { kind: 'disposed' };

/** Makes the session of a page: one, at module level. Does nothing until `start`, or until an operation needs it. */
export function createSession(options: SessionOptions): Session {
  const environment = { ...defaultEnvironment(), ...options.environment };
  const tabs = createTabs(options.name ?? 'latchkey', environment, onMessage);
  const refreshTimeoutMs = options.refreshTimeoutMs ?? REFRESH_TIMEOUT_MS;
  const lockTimeoutMs = options.lockTimeoutMs ?? refreshTimeoutMs + LOCK_MARGIN_MS;
  const rest = createRest(environment, options.cooldown ?? COOLDOWN);
  const logout = createLogout({
    tabs,
    send: (controller) => bounded(environment, controller, refreshTimeoutMs, options.logout),
    onDone(wasTold) {
      if (!wasTold) rest.afterFailure();
      schedule();
    },
  });
  const listeners = new Set<() => void>();

  let state: SessionState = { status: 'unknown' };
  let token: Token | undefined;
  let serial = 0;
  let epoch = 0;
  let flight: Flight | undefined;
  let started: Promise<void> | undefined;
  let disposed = false;
  let untold = false;
  let change = Promise.withResolvers<void>();
  let cancelAlarm: (() => void) | undefined;
  /** Sessions that are over, and since when by the wall clock: against messages that were under way. */
  const ends = new Map<string, number>();

  // --- state ---------------------------------------------------------------------------------------------------------

  function publish(next: SessionState): void {
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    untold = true;
  }

  function publishToken(): void {
    if (!token) return;
    const { user, session } = token.grant;
    publish({ status: 'signed-in', user, session, stale: token.stale });
  }

  /** Separate from `publish`, so that nobody's code runs while the lock is held. */
  function notify(): void {
    if (!untold) return;
    untold = false;
    change.resolve();
    change = Promise.withResolvers<void>();
    for (const listener of new Set(listeners)) {
      if (!listeners.has(listener)) continue;
      try {
        listener();
      } catch (error) {
        // One listener's mistake must reach window.onerror, and neither the other listeners nor the session.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  function accept(grant: Grant): void {
    token = createToken(grant, environment, options.proactive || {});
    serial++;
    rest.forget();
    publishToken();
    schedule();
  }

  /** Everything that began before is void from here on. */
  function newEpoch(): void {
    epoch++;
    token = undefined;
    // Open streams hear of it, and close, whether or not there is anything else to see.
    untold = true;
    rest.forget();
  }

  function leave(sid: string | undefined, reason: string | undefined): void {
    newEpoch();
    if (sid !== undefined) ends.set(sid, environment.now());
    publish(reason === undefined ? { status: 'signed-out' } : { status: 'signed-out', reason });
    schedule();
  }

  /** The server has said so of the session `sid`. */
  function end(reason: SessionEndReason, sid = token?.grant.session.id): void {
    leave(sid, reason);
    if (sid === undefined) return;
    const marker = tabs.marker();
    // Not over the marker of somebody who has logged in since.
    if (marker?.sid === sid) tabs.mark({ ...marker, state: 'ended' });
    tabs.post({ kind: 'ended', sid, reason });
  }

  function isOver(sid: string): boolean {
    const marker = tabs.marker();
    return ends.has(sid) || (marker?.sid === sid && marker.state !== 'active');
  }

  function become(grant: Grant): void {
    newEpoch();
    logout.callOff();
    endFlight(SUPERSEDED);
    started ??= Promise.resolve();
    ends.delete(grant.session.id);
    accept(grant);
  }

  // --- the refresh ---------------------------------------------------------------------------------------------------

  function launch(): Flight {
    cancelAlarm?.();
    const { promise, resolve } = Promise.withResolvers<Renewal>();
    const mine: Flight = {
      controller: new AbortController(),
      serial,
      since: environment.now(),
      result: promise,
      settle: resolve,
      sent: false,
    };
    flight = mine;
    void fly(mine);
    return mine;
  }

  async function fly(mine: Flight): Promise<void> {
    const { signal } = mine.controller;
    const result = await tabs.underLock(signal, lockTimeoutMs, true, (waited) => ask(mine, waited));
    if (flight === mine) {
      flight = undefined;
      mine.settle(result);
      schedule();
    }
    notify();
  }

  /** It is over at once: its waiters go on, the lock is let go, and an answer that still comes is not looked at. */
  function endFlight(result: Renewal): void {
    const ending = flight;
    flight = undefined;
    ending?.settle(result);
    ending?.controller.abort();
  }

  /** Under the lock: no code of anybody else may be waited for here, except `refresh`, which is bounded. Never rejects. */
  async function ask(mine: Flight, waited: boolean): Promise<Renewal> {
    const { signal } = mine.controller;
    if (flight !== mine) return SUPERSEDED;
    const sid = token?.grant.session.id;
    const marker = tabs.marker();
    if (marker && marker.state !== 'active' && (sid === undefined || sid === marker.sid)) {
      leave(marker.sid, undefined);
      return ENDED;
    }
    const generation = token?.grant.session.generation ?? 0;
    // Who has no token yet cannot tell by its generation, but by when the marker was written: while it waited here.
    // Without a marker nothing can tell, but that another tab had the lock: its message is about to come.
    const isFetched = !marker
      ? waited
      : sid === undefined
        ? marker.at > mine.since
        : marker.sid === sid && marker.generation > generation;
    if (isFetched) {
      if (marker) tabs.post({ kind: 'need', sid: marker.sid, generation });
      const { promise, resolve } = Promise.withResolvers<void>();
      await promise.finally(watch(environment, signal, NEED_MS, resolve, resolve));
      // A token that has come has ended this flight.
      if (flight !== mine) return SUPERSEDED;
    }
    mine.sent = true;
    const outcome = await bounded(environment, mine.controller, refreshTimeoutMs, options.refresh)
      .then(parseOutcome)
      .catch(unavailable);
    // The commit guard: a logout, a login or another tab was faster.
    return flight === mine ? commit(outcome, mine, sid ?? marker?.sid) : SUPERSEDED;
  }

  /** @param sid whose cookie was sent, as far as that was known then: by now somebody may have logged in */
  function commit(outcome: RefreshOutcome, mine: Flight, sid: string | undefined): Renewal {
    const isSame = outcome.kind === 'granted' && outcome.grant.session.id === token?.grant.session.id;
    // Another tab has handed over a token since this was sent, perhaps of a later session.
    if (serial > mine.serial && token?.isUsable() && !(isSame && token.isOlderThan(outcome.grant))) return READY;
    if (outcome.kind === 'unavailable') return give(outcome);
    if (outcome.kind === 'granted') return take(outcome.grant, mine);
    const { reason } = outcome;
    if (token?.isUsable() && (reason === 'none' || reason === 'expired')) {
      token.doomed = reason;
      return READY;
    }
    end(reason, sid);
    return ENDED;
  }

  function take(grant: Grant, { since }: Flight): Renewal {
    const { id, generation } = grant.session;
    // Another tab has logged out meanwhile: logout wins.
    if (isOver(id)) {
      leave(id, 'logout');
      return ENDED;
    }
    const known = token?.grant.session;
    const marker = tabs.marker();
    if (!known && marker?.state === 'active' && marker.sid !== id && marker.at > since) {
      // Another tab has logged in since this was asked: whose cookie is left, only the server can tell.
      forget();
      return SUPERSEDED;
    }
    const switched = known !== undefined && known.id !== id;
    // Of equal generations the later asked is the newer.
    if (known && !switched && generation < known.generation)
      return give(unavailable(new Error('The server answered with an older generation of the session.')));
    if (switched) newEpoch();
    accept(grant);
    share('token');
    return switched ? SUPERSEDED : READY;
  }

  function give({ retryAfterMs, cause }: Unavailable): Renewal {
    rest.afterFailure(retryAfterMs);
    return { kind: 'unavailable', retryAfterMs: rest.leftMs(), cause };
  }

  function share(kind: 'token' | 'login'): void {
    if (!token) return;
    const { id, generation } = token.grant.session;
    tabs.mark({ sid: id, generation, state: 'active' });
    tell(kind, token);
  }

  function tell(kind: 'token' | 'login', { grant, expiresAt }: Token): void {
    tabs.post({ kind, grant, expiresAt: expiresAt(), at: environment.now() });
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  /** Until there is something to do in the background. */
  function dueInMs(): number | undefined {
    if (disposed || flight) return;
    if (state.status === 'signed-out') return logout.isDue() ? rest.leftMs() : undefined;
    if (!token) return started && rest.leftMs();
    if (token.doomed) return token.leftMs();
    if (token.stale || rest.failed) return rest.leftMs();
    return options.proactive === false ? undefined : Math.max(rest.leftMs(), token.dueInMs());
  }

  function schedule(): void {
    cancelAlarm?.();
    const ms = dueInMs();
    if (ms === undefined) return;
    const atLeastMs = rest.failed ? BACKGROUND_MIN_MS : 0;
    cancelAlarm = environment.setTimer(tick, Math.min(Math.max(atLeastMs, ms), TIMER_MAX_MS), true);
  }

  function tick(): void {
    const ms = dueInMs();
    if (ms === undefined) return;
    if (ms > 0) return schedule();
    if (token?.doomed) end(token.doomed);
    // A hidden page waits until it is looked at: of many tabs, one refreshes, and tells the others.
    else if (environment.page.visible() && environment.page.online()) {
      if (state.status === 'signed-out') void logout.send(true);
      else launch();
    }
    notify();
  }

  function onPage(event: PageEvent): void {
    if (event === 'hide') {
      // A lock or an open request would keep the page out of the back-forward cache.
      endFlight({ kind: 'unavailable', retryAfterMs: 0 });
      cancelAlarm?.();
      tabs.close();
      return;
    }
    // What failed for want of a network may be tried again; what the server has asked for stands.
    if (event === 'online') rest.skipUnlessOrdered();
    tabs.open();
    reconcile();
    tick();
    notify();
  }

  /** While this tab slept, others may have logged out, or in as somebody else: the marker knows. */
  function reconcile(): void {
    const marker = tabs.marker();
    if (!marker || !started) return;
    const sid = token?.grant.session.id;
    const active = marker.state === 'active';
    if (state.status === 'signed-out') {
      if (marker.state === 'logout-pending') logout.remember();
      if (active && !ends.has(marker.sid)) forget();
    } else if (!active && (sid !== undefined || !flight)) {
      leave(sid, 'logout');
      endFlight(ENDED);
    } else if (active && sid !== undefined && sid !== marker.sid) forget();
  }

  function forget(): void {
    newEpoch();
    endFlight(SUPERSEDED);
    publish({ status: 'unknown' });
    schedule();
  }

  // --- other tabs ----------------------------------------------------------------------------------------------------

  function onMessage(message: TabMessage): void {
    const mine = token?.grant.session;
    switch (message.kind) {
      case 'token':
        onToken(message.grant);
        break;
      case 'login':
        if (mine?.id === message.grant.session.id) onToken(message.grant);
        else onLogin(message.grant, message.at);
        break;
      case 'need':
        // Told, not marked: somebody may have logged in since.
        if (token?.isUsable() && mine?.id === message.sid && mine.generation > message.generation) tell('token', token);
        break;
      case 'ended':
        if (mine?.id === message.sid) {
          leave(message.sid, message.reason);
          endFlight(ENDED);
        } else ends.set(message.sid, environment.now());
        break;
      case 'user':
        changeUser(message.user);
        break;
    }
    notify();
  }

  function onLogin(grant: Grant, at: number): void {
    const { id } = grant.session;
    const marker = tabs.marker();
    const since = Math.max(ends.get(id) ?? 0, marker && marker.sid !== id ? marker.at : 0);
    // Not one that was under way while something later happened.
    if (at > since) become(grant);
  }

  function onToken(grant: Grant): void {
    const { id } = grant.session;
    const known = token?.grant.session.id;
    const marker = tabs.marker();
    const named = marker?.sid === id && marker.state === 'active';
    if (isOver(id)) return;
    if (known === undefined && state.status === 'unknown') {
      if (marker && !named) return;
      started ??= Promise.resolve();
    } else if (known !== id) {
      // Its login was missed. Without a marker nobody can tell which of the two is the later: the cookie will.
      if (named) become(grant);
      return;
    } else if (!token?.isOlderThan(grant)) return;
    accept(grant);
    // A request that is under way is left alone, so that its cookie is not lost.
    if (flight && !flight.sent) endFlight(READY);
  }

  function changeUser(user: User): boolean {
    if (token?.grant.user.id !== user.id) return false;
    token.grant = { ...token.grant, user };
    publishToken();
    return true;
  }

  async function boot(): Promise<void> {
    const marker = tabs.marker();
    if (marker ? marker.state !== 'active' : options.refreshOnFirstVisit === false && tabs.remembers()) {
      leave(undefined, undefined);
      if (marker?.state === 'logout-pending') {
        logout.remember();
        void logout.send(true);
      }
      notify();
    } else await launch().result;
  }

  const session: Session = {
    get state() {
      return state;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start() {
      if (disposed) return Promise.resolve();
      return (started ??= boot());
    },
    signIn(grant) {
      const parsed = grantSchema.safeParse(grant).data;
      if (!parsed) throw new TypeError('signIn() takes the grant that register or login has answered.');
      if (disposed) return;
      become(parsed);
      share('login');
      notify();
    },
    signOut() {
      if (disposed) return Promise.resolve();
      if (state.status === 'signed-out') return logout.settled();
      const marker = tabs.marker();
      const { id: sid, generation } = token?.grant.session ?? { id: marker?.sid, generation: marker?.generation ?? 1 };
      started ??= Promise.resolve();
      leave(sid, 'logout');
      endFlight(SUPERSEDED);
      // Written before the server is asked: without a network it must hold over a reload.
      tabs.mark({ sid: sid ?? '', generation, state: 'logout-pending' });
      if (sid !== undefined) tabs.post({ kind: 'ended', sid, reason: 'logout' });
      const done = logout.send(false);
      notify();
      return done;
    },
    ended(reason, sessionId) {
      if (token?.grant.session.id !== sessionId) return;
      end(reason);
      endFlight(ENDED);
      notify();
    },
    userChanged(user) {
      if (changeUser(user)) tabs.post({ kind: 'user', user });
      notify();
    },
    retry() {
      rest.skip();
      tick();
    },
    dispose() {
      if (disposed) return;
      newEpoch();
      disposed = true;
      endFlight(DISPOSED);
      logout.callOff();
      cancelAlarm?.();
      stopListening();
      tabs.close();
      notify();
      listeners.clear();
    },
  };

  cores.set(session, {
    stamp: () => ({ epoch, serial: token ? serial : 0, sessionId: token?.grant.session.id }),
    accessToken: () => token?.grant.accessToken,
    needsRenewal() {
      if (disposed || state.status === 'signed-out') return false;
      // One that is refused although it is fresh is still sent: the refusal may be about that one procedure.
      return !token || token.leftMs() <= 0 || (token.stale && (flight !== undefined || rest.failed));
    },
    async renew(from) {
      if (disposed) return DISPOSED;
      if (from.epoch !== epoch) return SUPERSEDED;
      if (!started) void session.start();
      if (state.status === 'signed-out') return ENDED;
      if (from.serial < serial && token?.isUsable()) return READY;
      if (token?.doomed) {
        end(token.doomed);
        notify();
        return ENDED;
      }
      if (token) token.stale = true;
      publishToken();
      const retryAfterMs = flight ? 0 : rest.leftMs();
      const { result } =
        retryAfterMs > 0 ? { result: { kind: 'unavailable' as const, retryAfterMs } } : (flight ?? launch());
      notify();
      return result;
    },
    refusedAgain(from) {
      if (from.epoch !== epoch || from.serial !== serial || !token || flight) return;
      token.stale = true;
      rest.short();
      publishToken();
      schedule();
      notify();
    },
    lifetimeMs: () => token?.lifetimeMs ?? Infinity,
    stopwatch: () => stopwatch(environment),
    changed: () => change.promise,
  });

  tabs.open();
  const stopListening = environment.page.listen(onPage);
  return session;
}
