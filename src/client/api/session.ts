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
import { sessionEndReasons, type SessionEndReason } from '../../shared/failures.ts';
import { defaultEnvironment, watch, type PageEvent, type SessionEnvironment } from './session-environment.ts';
import { createTabs, type TabMessage } from './session-tabs.ts';

export type { Grant, SessionEnvironment, User };

/** What a refresh came to. Only `ended` is definite: the session is over. */
export type RefreshOutcome =
  | { kind: 'granted'; grant: Grant }
  | { kind: 'ended'; reason: SessionEndReason }
  | { kind: 'unavailable'; retryAfterMs?: number; cause?: unknown };

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
  proactive?: false | { leadMs?: number; jitterMs?: number };
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

/** What came of waiting for a usable token. `superseded`: who asked belongs to another epoch. */
export type Renewal =
  | { kind: 'ready' }
  | { kind: 'unavailable'; retryAfterMs: number; cause?: unknown }
  | { kind: 'ended' }
  | { kind: 'superseded' };

/** Which token an attempt was sent with. `serial` 0: none. */
export interface Stamp {
  epoch: number;
  serial: number;
  sessionId?: string | undefined;
}

/** What only the link may use. */
export interface SessionCore {
  /** Of the current token. */
  stamp(): Stamp;
  accessToken(): string | undefined;
  /** Whether an operation has to wait for `renew` before it is sent. */
  needsRenewal(): boolean;
  /** A usable token, newer than the one `from` was sent with. */
  renew(from: Stamp): Promise<Renewal>;
  /** A token that was fetched because of a refusal has itself been refused. */
  refusedAgain(from: Stamp): void;
  /** Of the current token, in milliseconds. */
  lifetimeMs(): number;
  monotonic(): number;
}

/** Both clocks, since each misses something: see SessionEnvironment. */
interface Moment {
  wall: number;
  monotonic: number;
}

interface Token extends Moment {
  grant: Grant;
  lifetimeMs: number;
  refreshAtAgeMs: number;
}

/** After something that could not be had. `ordered`: by the server. */
interface Rest extends Moment {
  ms: number;
  ordered: boolean;
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
const LOGOUT_LOCK_MS = 3_000;
const LEAD_MS = 60_000;
const JITTER_MS = 10_000;
/** A token that lives shorter than this is refreshed when needed, not in a circle. */
const PROACTIVE_MIN_MS = 5_000;
const PROACTIVE_SHARE = 0.75;
const COOLDOWN = { baseMs: 1_000, maxMs: 30_000 };
/** What the background waits at least after a failure, however short the rest is that an app wants. */
const BACKGROUND_MIN_MS = 500;
/** How long another tab gets to hand over a token that the marker says it has. */
const NEED_MS = 150;
/** setTimeout takes 32 bits; more fires at once (HTML, timers: "timer initialization steps"). */
const TIMER_MAX_MS = 2 ** 31 - 1;

const READY: Renewal = { kind: 'ready' };
const ENDED: Renewal = { kind: 'ended' };
const SUPERSEDED: Renewal = { kind: 'superseded' };

const cores = new WeakMap<Session, SessionCore>();

/** @throws TypeError for a session that `createSession` has not made */
export function coreOf(session: Session): SessionCore {
  const core = cores.get(session);
  if (!core) throw new TypeError('Not a session made by createSession().');
  return core;
}

/** Makes the session of a page: one, at module level. Does nothing until `start`, or until an operation needs it. */
export function createSession(options: SessionOptions): Session {
  const environment = { ...defaultEnvironment(), ...options.environment };
  const tabs = createTabs(options.name ?? 'latchkey', environment, onMessage);
  const refreshTimeoutMs = options.refreshTimeoutMs ?? REFRESH_TIMEOUT_MS;
  const lockTimeoutMs = options.lockTimeoutMs ?? refreshTimeoutMs + LOCK_MARGIN_MS;
  const { baseMs, maxMs } = options.cooldown ?? COOLDOWN;
  const listeners = new Set<() => void>();

  let state: SessionState = { status: 'unknown' };
  let token: Token | undefined;
  let stale = false;
  let serial = 0;
  let epoch = 0;
  let flight: Flight | undefined;
  /** The server has ended the session, but the token still works: until it expires. */
  let doomed: SessionEndReason | undefined;
  let failures = 0;
  let rest: Rest | undefined;
  let started: Promise<void> | undefined;
  let logout: { controller: AbortController; done: Promise<void> } | undefined;
  let logoutUnsent = false;
  let disposed = false;
  let untold = false;
  let cancelAlarm: (() => void) | undefined;
  /** Sessions that are over, and since when by the wall clock: against messages that were under way. */
  const ends = new Map<string, number>();

  // --- state ---------------------------------------------------------------------------------------------------------

  function publish(next: SessionState, always = false): void {
    if (!always && JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    untold = true;
  }

  function publishToken(always = false): void {
    if (!token) return;
    const { user, session } = token.grant;
    publish({ status: 'signed-in', user, session, stale }, always);
  }

  /** Separate from `publish`, so that nobody's code runs while the lock is held. */
  function notify(): void {
    if (!untold) return;
    untold = false;
    for (const listener of new Set(listeners)) {
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

  const moment = (): Moment => ({ wall: environment.now(), monotonic: environment.monotonic() });
  const ageMs = ({ wall, monotonic }: Moment) =>
    Math.max(environment.now() - wall, environment.monotonic() - monotonic);
  const isExpired = () => !!token && ageMs(token) >= token.lifetimeMs;
  const isUsable = () => !!token && !stale && !isExpired();
  const expiresAt = ({ wall, lifetimeMs }: Token) => wall + lifetimeMs;
  const restMs = () => (rest ? Math.max(0, rest.ms - ageMs(rest)) : 0);

  function accept(grant: Grant, isAnother: boolean): void {
    const lifetimeMs = grant.expiresIn * 1000;
    const { leadMs = LEAD_MS, jitterMs = JITTER_MS } = options.proactive || {};
    const share = lifetimeMs * PROACTIVE_SHARE;
    const dueMs = Math.max(lifetimeMs - leadMs, share, PROACTIVE_MIN_MS);
    const refreshAtAgeMs = dueMs - environment.random() * Math.min(jitterMs, dueMs / 10);
    token = { grant, lifetimeMs, refreshAtAgeMs, ...moment() };
    serial++;
    mend();
    publishToken(isAnother);
    schedule();
  }

  /** Everything that began before is void from here on. */
  function newEpoch(): void {
    epoch++;
    token = undefined;
    mend();
  }

  function mend(): void {
    stale = false;
    doomed = undefined;
    failures = 0;
    rest = undefined;
  }

  function leave(sid: string | undefined, reason: string | undefined): void {
    newEpoch();
    if (sid !== undefined) ends.set(sid, environment.now());
    publish(reason === undefined ? { status: 'signed-out' } : { status: 'signed-out', reason }, true);
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
    // Its answer would delete the cookie that has just been set.
    logout?.controller.abort();
    logout = undefined;
    logoutUnsent = false;
    endFlight(SUPERSEDED);
    started ??= Promise.resolve();
    ends.delete(grant.session.id);
    accept(grant, true);
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
    const result = await tabs.underLock(signal, lockTimeoutMs, true, () => ask(mine));
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
  async function ask(mine: Flight): Promise<Renewal> {
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
    if (marker && (sid === undefined ? marker.at > mine.since : marker.sid === sid && marker.generation > generation)) {
      tabs.post({ kind: 'need', sid: marker.sid, generation });
      const { promise, resolve } = Promise.withResolvers<void>();
      await promise.finally(watch(environment, signal, NEED_MS, resolve, resolve));
      // A token that has come has ended this flight.
      if (flight !== mine) return SUPERSEDED;
    }
    mine.sent = true;
    const outcome = await bounded(mine.controller, options.refresh).then(parseOutcome).catch(unavailable);
    // The commit guard: a logout, a login or another tab was faster.
    return flight === mine ? commit(outcome, mine, sid ?? marker?.sid) : SUPERSEDED;
  }

  /** @param sid whose cookie was sent, as far as that was known then: by now somebody may have logged in */
  function commit(outcome: RefreshOutcome, mine: Flight, sid: string | undefined): Renewal {
    const isSame = outcome.kind === 'granted' && outcome.grant.session.id === token?.grant.session.id;
    // Another tab has handed over a token since this was sent, perhaps of a later session.
    if (serial > mine.serial && isUsable() && !(isSame && isNewer(outcome.grant))) return READY;
    if (outcome.kind === 'unavailable') return give(outcome);
    if (outcome.kind === 'granted') return take(outcome.grant);
    const { reason } = outcome;
    if (isUsable() && (reason === 'none' || reason === 'expired')) {
      doomed = reason;
      return READY;
    }
    end(reason, sid);
    return ENDED;
  }

  function take(grant: Grant): Renewal {
    const { id, generation } = grant.session;
    // Another tab has logged out meanwhile: logout wins.
    if (isOver(id)) {
      leave(id, 'logout');
      return ENDED;
    }
    const known = token?.grant.session;
    const switched = known !== undefined && known.id !== id;
    // Of equal generations the later asked is the newer.
    if (known && !switched && generation < known.generation)
      return give(unavailable(new Error('The server answered with an older generation of the session.')));
    if (switched) newEpoch();
    accept(grant, switched);
    share('token');
    return switched ? SUPERSEDED : READY;
  }

  function give({ retryAfterMs = 0, cause }: Extract<RefreshOutcome, { kind: 'unavailable' }>): Renewal {
    pause(backoffMs(failures++), retryAfterMs);
    return { kind: 'unavailable', retryAfterMs: restMs(), cause };
  }

  const backoffMs = (count: number) =>
    Math.min(maxMs, baseMs * 2 ** Math.min(count, 30)) * (0.5 + environment.random() / 2);

  function pause(ms: number, orderedMs = 0): void {
    rest = { ms: Math.max(ms, orderedMs), ordered: orderedMs > 0, ...moment() };
  }

  /** By generation, then by when they expire. A copy of a token that is known to be dead is not newer. */
  function isNewer({ accessToken, expiresIn, session }: Grant): boolean {
    if (!token) return true;
    const { grant } = token;
    if (session.generation !== grant.session.generation) return session.generation > grant.session.generation;
    return accessToken !== grant.accessToken && (stale || environment.now() + expiresIn * 1000 > expiresAt(token));
  }

  function share(kind: 'token' | 'login'): void {
    if (!token) return;
    const { id, generation } = token.grant.session;
    tabs.mark({ sid: id, generation, state: 'active' });
    tell(kind, token);
  }

  function tell(kind: 'token' | 'login', told: Token): void {
    tabs.post({ kind, grant: told.grant, expiresAt: expiresAt(told), at: environment.now() });
  }

  /**
   * Settles like `work`, or at once when `controller` is aborted; aborts it when the time is up. Whether `work` heeds
   * its signal does not matter.
   */
  function bounded<T>(controller: AbortController, work: (o: { signal: AbortSignal }) => Promise<T>): Promise<T> {
    const { signal } = controller;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const late = () => controller.abort(new DOMException('The server took too long.', 'TimeoutError'));
    const stop = watch(environment, signal, refreshTimeoutMs, late, () => reject(signal.reason));
    // Called in an async function, what it throws is a rejection, and what it answers may be no promise. Called off before
    // it began, as by a login that came while a logout waited for the lock, it must not begin.
    const call = async () => {
      signal.throwIfAborted();
      return work({ signal });
    };
    call().then(resolve, reject);
    return promise.finally(stop);
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  /** Until there is something to do in the background. */
  function dueInMs(): number | undefined {
    if (disposed || flight) return;
    if (state.status === 'signed-out') return logoutUnsent && !logout ? restMs() : undefined;
    if (!token) return started && restMs();
    const age = ageMs(token);
    if (doomed) return token.lifetimeMs - age;
    if (stale || failures > 0) return restMs();
    return options.proactive === false ? undefined : Math.max(restMs(), token.refreshAtAgeMs - age);
  }

  function schedule(): void {
    cancelAlarm?.();
    const ms = dueInMs();
    if (ms === undefined) return;
    const atLeastMs = failures > 0 ? BACKGROUND_MIN_MS : 0;
    cancelAlarm = environment.setTimer(tick, Math.min(Math.max(atLeastMs, ms), TIMER_MAX_MS), true);
  }

  function tick(): void {
    const ms = dueInMs();
    if (ms === undefined) return;
    if (ms > 0) return schedule();
    if (doomed) end(doomed);
    // A hidden page waits until it is looked at: of many tabs, one refreshes, and tells the others.
    else if (environment.page.visible() && environment.page.online()) {
      if (state.status === 'signed-out') void sendLogout(true);
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
    if (event === 'online' && !rest?.ordered) rest = undefined;
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
      logoutUnsent ||= marker.state === 'logout-pending';
      if (active && !ends.has(marker.sid)) forget();
    } else if (!active && (sid !== undefined || !flight)) {
      leave(sid, 'logout');
      endFlight(ENDED);
    } else if (active && sid !== undefined && sid !== marker.sid) forget();
  }

  function forget(): void {
    newEpoch();
    endFlight(SUPERSEDED);
    publish({ status: 'unknown' }, true);
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
        if (token && mine?.id === message.sid && mine.generation > message.generation && isUsable())
          tell('token', token);
        break;
      case 'ended':
        if (mine?.id === message.sid) {
          leave(message.sid, message.reason);
          endFlight(ENDED);
        } else ends.set(message.sid, environment.now());
        break;
      case 'user':
        if (token && mine?.id === message.sid && token.grant.user.id === message.user.id)
          changeUser(token, message.user);
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
    } else if (!isNewer(grant)) return;
    accept(grant, false);
    // A request that is under way is left alone, so that its cookie is not lost.
    if (flight && !flight.sent) endFlight(READY);
  }

  function changeUser(current: Token, user: User): void {
    current.grant = { ...current.grant, user };
    publishToken();
  }

  // --- logging out ---------------------------------------------------------------------------------------------------

  /** Settles when the server was told or the attempt failed. `again`: only if no other tab has done it meanwhile. */
  function sendLogout(again: boolean): Promise<void> {
    if (logout) return logout.done;
    const controller = new AbortController();
    const call = async () => {
      const marker = tabs.marker();
      if (!again || !marker || marker.state === 'logout-pending') await bounded(controller, options.logout);
    };
    const done = tabs.underLock(controller.signal, LOGOUT_LOCK_MS, false, call).then(
      () => onLogoutSent(controller, true),
      () => onLogoutSent(controller, false),
    );
    logout = { controller, done };
    return done;
  }

  function onLogoutSent(controller: AbortController, wasTold: boolean): void {
    // Called off by a login, which ends the session of the old cookie too.
    if (logout?.controller !== controller) return;
    logout = undefined;
    logoutUnsent = !wasTold;
    const marker = tabs.marker();
    if (!wasTold) pause(backoffMs(failures++));
    else if (marker?.state === 'logout-pending') tabs.mark({ ...marker, state: 'ended' });
    schedule();
  }

  async function boot(): Promise<void> {
    const marker = tabs.marker();
    if (marker ? marker.state !== 'active' : options.refreshOnFirstVisit === false && tabs.remembers()) {
      leave(undefined, undefined);
      logoutUnsent = marker?.state === 'logout-pending';
      if (logoutUnsent) void sendLogout(true);
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
      if (state.status === 'signed-out') return logout?.done ?? (logoutUnsent ? sendLogout(false) : Promise.resolve());
      const marker = tabs.marker();
      const { id: sid, generation } = token?.grant.session ?? { id: marker?.sid, generation: marker?.generation ?? 1 };
      started ??= Promise.resolve();
      leave(sid, 'logout');
      endFlight(SUPERSEDED);
      // Written before the server is asked: without a network it must hold over a reload.
      tabs.mark({ sid: sid ?? '', generation, state: 'logout-pending' });
      if (sid !== undefined) tabs.post({ kind: 'ended', sid, reason: 'logout' });
      const done = sendLogout(false);
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
      if (token?.grant.user.id !== user.id) return;
      changeUser(token, user);
      tabs.post({ kind: 'user', sid: token.grant.session.id, user });
      notify();
    },
    retry() {
      rest = undefined;
      tick();
    },
    dispose() {
      if (disposed) return;
      newEpoch();
      disposed = true;
      endFlight(SUPERSEDED);
      logout?.controller.abort();
      cancelAlarm?.();
      stopListening();
      tabs.close();
      // Open streams hear of the new epoch, and close.
      untold = true;
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
      return !token || isExpired() || (stale && (flight !== undefined || failures > 0));
    },
    async renew(from) {
      if (disposed || from.epoch !== epoch) return SUPERSEDED;
      if (!started) void session.start();
      if (state.status === 'signed-out') return ENDED;
      if (from.serial < serial && isUsable()) return READY;
      if (doomed) {
        end(doomed);
        notify();
        return ENDED;
      }
      stale = token !== undefined;
      publishToken();
      const retryAfterMs = flight ? 0 : restMs();
      const { result } =
        retryAfterMs > 0 ? { result: { kind: 'unavailable' as const, retryAfterMs } } : (flight ?? launch());
      notify();
      return result;
    },
    refusedAgain(from) {
      if (from.epoch !== epoch || from.serial !== serial || !token || flight) return;
      stale = true;
      pause(backoffMs(0));
      publishToken();
      schedule();
      notify();
    },
    lifetimeMs: () => token?.lifetimeMs ?? Infinity,
    monotonic: () => environment.monotonic(),
  });

  tabs.open();
  const stopListening = environment.page.listen(onPage);
  return session;
}

function parseOutcome(outcome: RefreshOutcome): RefreshOutcome {
  const grant = outcome?.kind === 'granted' && grantSchema.safeParse(outcome.grant).data;
  if (grant) return { kind: 'granted', grant };
  if (outcome?.kind === 'ended' && sessionEndReasons.includes(outcome.reason)) return outcome;
  // Without what came: there may be a token in it.
  if (outcome?.kind !== 'unavailable') return unavailable(new TypeError('The refresh was answered in no known form.'));
  const { retryAfterMs: ms = 0, cause } = outcome;
  return ms >= 0 && Number.isFinite(ms) ? { kind: 'unavailable', retryAfterMs: ms, cause } : unavailable(cause);
}

function unavailable(cause: unknown): Extract<RefreshOutcome, { kind: 'unavailable' }> {
  return { kind: 'unavailable', cause };
}
