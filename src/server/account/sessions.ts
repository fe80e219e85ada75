import type { OwnSession } from '../../shared/account.ts';
import { summarize } from '../auth/sessions/summary.ts';
import type { ProtectedContext } from '../trpc.ts';

/** The sessions of the caller that can still be used, newest use first. */
export async function listSessions({ services, user, session }: ProtectedContext): Promise<OwnSession[]> {
  const rows = await services.sessions.live(user.id);
  return rows.map((row) => Object.assign(summarize(row), { current: row.id === session.id }));
}

/**
 * Ends a session of the caller. The current one may be ended, too: this browser then finds out like any other would.
 * @returns false where the caller has no such session; true where it had ended before, so that a repeated call succeeds
 */
export async function endSession({ req, services, user }: ProtectedContext, id: string): Promise<boolean> {
  const { changeAccount, clock, sessions, audit } = services;
  const changed = await changeAccount({ userId: user.id, now: clock(), endSessions: { only: id } });
  if (changed.kind !== 'changed' || changed.endedSessions.length === 0)
    return (await sessions.all(user.id)).some((row) => row.id === id);
  await audit.record(req, { type: 'ended', userId: user.id, sessionId: id });
  return true;
}

/** Ends every session of the caller but the current one. @returns how many of them could still be used */
export async function endOtherSessions(ctx: ProtectedContext): Promise<{ ended: number }> {
  const { req, services, user, session } = ctx;
  const { changeAccount, clock, sessions, audit } = services;
  const usable = new Set((await sessions.live(user.id)).map(({ id }) => id));
  const changed = await changeAccount({ userId: user.id, now: clock(), endSessions: { except: session.id } });
  const ended = changed.kind === 'changed' ? changed.endedSessions.filter((id) => usable.has(id)).length : 0;
  const event = { userId: user.id, sessionId: session.id, detail: String(ended) };
  if (ended > 0) await audit.record(req, { type: 'other_sessions_ended', ...event });
  return { ended };
}
