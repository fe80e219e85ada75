import { afterEach, vi } from 'vitest';
import {
  createSession,
  type Session,
  type SessionEvent,
  type SessionOptions,
  type SessionState,
} from '../session/index.ts';
import { internalsOf } from '../session/session.ts';
import { fakeBrowser } from './fake-browser.ts';
import { grantOf, type RefreshOutcome, type User } from './fake-server.ts';

export type Answer = RefreshOutcome | Error | Promise<RefreshOutcome>;

export const MINUTE_MS = 60_000;
export const never = new Promise<never>(() => {});
export const granted = (over?: Parameters<typeof grantOf>[0]): RefreshOutcome => ({
  kind: 'granted',
  grant: grantOf(over),
});

const sessions: Session<User>[] = [];
afterEach(() => {
  for (const session of sessions.splice(0)) session.dispose();
});

export function disposedAfterwards<T extends Session<User>>(session: T): T {
  sessions.push(session);
  return session;
}

/** A tab of `browser` with a session. Refreshes get `answers` in order, the last one repeatedly. */
export function openTab({
  browser = fakeBrowser(),
  answers = [granted({ generation: 2 })],
  environment = {},
  ...options
}: Partial<SessionOptions<User>> & { browser?: ReturnType<typeof fakeBrowser>; answers?: Answer[] } = {}) {
  const tab = browser.tab(environment);
  const left = [...answers];
  const refresh = vi.fn<SessionOptions<User>['refresh']>(async () => {
    const answer = left.length > 1 ? left.shift()! : left[0]!;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const logout = vi.fn<SessionOptions<User>['logout']>(async () => {});
  const onEvent = vi.fn<(event: SessionEvent) => void>();
  const session = disposedAfterwards(
    createSession<User>({
      refresh,
      logout,
      onEvent,
      cooldown: { baseMs: 2000, maxMs: 8000 },
      refreshOnFirstVisit: false,
      ...options,
      environment: tab.environment,
    }),
  );
  const core = internalsOf(session);
  const listener = vi.fn<(state: SessionState<User>) => void>();
  session.subscribe(() => listener(session.state));
  return {
    browser,
    clock: browser.clock,
    tab,
    session,
    core,
    refresh,
    logout,
    onEvent,
    listener,
    tokenVersion: () => core.bearer()?.tokenVersion ?? 0,
    bearer: () => core.bearer()?.accessToken,
    status: () => session.state.status,
    /** Like an operation whose current token was refused. */
    refused: () => core.renew(core.bearer()?.tokenVersion ?? 0),
  };
}

/** As after a reload in a browser where somebody is signed in. */
export function returning(
  browser = fakeBrowser(),
  marker: { sessionId?: string; userId?: string; state?: string } = {},
) {
  const isActive = (marker.state ?? 'active') === 'active';
  const all = {
    v: 1,
    sessionId: 's1',
    userId: 'user-ann',
    state: 'active',
    ...(!isActive && { reason: 'logout' }),
    ...marker,
  };
  browser.stored.set('latchkey.marker', JSON.stringify(all));
  return browser;
}

/** Another tab that posts a message. */
export function say(browser: ReturnType<typeof fakeBrowser>, message: unknown): void {
  const channel = browser.tab().environment.openChannel!('latchkey', () => {});
  channel.post(typeof message === 'object' && message !== null ? { v: 1, ...message } : message);
  channel.close();
}
