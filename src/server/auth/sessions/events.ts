import { createHash } from 'node:crypto';
import { tracked } from '@trpc/server';
import type { User } from '../../../shared/auth.ts';
import { fail, type Context } from '../../trpc.ts';
import { concurrency } from '../limits/concurrency.ts';

/** A browser needs one, and a few more while tabs are opened and closed. */
const MAX_STREAMS_PER_SESSION = 10;
const RETRY_AFTER_SECONDS = 5;

const streams = concurrency(MAX_STREAMS_PER_SESSION);

/**
 * Tells a page about its own session: yields the user, and again at each change. The stream ends with the failure that a
 * protected call would get at that moment: `session_ended`, or `access_token_expired`, after which the link refreshes and
 * resumes. An event id stands for a state and not for a position in a queue, so that resuming leaves no gap.
 * @param lastEventId the state that the client has seen
 */
export async function* sessionEvents(ctx: Context, lastEventId: string | undefined, signal: AbortSignal | undefined) {
  const { sessions, notifications, clock, draining } = ctx.services;
  const first = await ctx.authenticate();
  if (first.kind === 'failed') return fail(ctx, first);
  using place = streams.enter(first.session.id);
  if (place === undefined)
    return fail(ctx, { kind: 'failed', failure: { code: 'rate_limited', retryAfter: RETRY_AFTER_SECONDS } });

  let change = Promise.withResolvers<void>();
  const wake = () => change.resolve();
  using _subscription = notifications.subscribe({ sessionId: first.session.id, userId: first.user.id }, wake);
  signal?.addEventListener('abort', wake);

  let known = lastEventId;
  const listening = () => signal?.aborted !== true;
  while (listening()) {
    // Before the database is read, so that a change meanwhile is not missed.
    change = Promise.withResolvers();
    // Streams would keep a stopping server from exiting. The client reconnects after this failure.
    if (draining())
      return fail(ctx, { kind: 'failed', failure: { code: 'overloaded', retryAfter: RETRY_AFTER_SECONDS } });
    const caller = await sessions.authenticate(ctx.accessToken ?? '');
    if (caller.kind === 'failed') return fail(ctx, caller);
    const state = stateOf(caller.user);
    if (state !== known) {
      known = state;
      yield tracked(state, { user: caller.user });
    }
    const untilExpiry = Math.max(0, caller.tokenExpiresAt - clock());
    const timer = setTimeout(wake, Math.min(untilExpiry, untilNextLook(notifications.lookIntervalMs)));
    await change.promise;
    clearTimeout(timer);
  }
}

/** Random, or all the pages that reconnect to a server that has restarted would go on looking in the same moment. */
const untilNextLook = (intervalMs: number) => intervalMs * (1 - Math.random() / 4);

/** A short id that differs whenever the user does. */
const stateOf = (user: User) => createHash('sha256').update(JSON.stringify(user)).digest('base64url').slice(0, 16);
