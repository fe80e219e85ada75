import { createHash } from 'node:crypto';
import { tracked } from '@trpc/server';
import { fail, type Context } from '../../trpc.ts';
import { concurrency } from '../limits/concurrency.ts';

/** A browser needs one, plus a few while tabs open and close. */
const MAX_STREAMS_PER_SESSION = 10;
const RETRY_AFTER_SECONDS = 5;
/** A timer that is set to more fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const streams = concurrency(MAX_STREAMS_PER_SESSION);

/**
 * Streams the user of the session, now and after each change. Ends with the failure a protected call would get:
 * `session_ended`, or `access_token_expired`, after which the link refreshes and resumes. Event IDs identify a state,
 * not a position in a queue, so resuming leaves no gap.
 * @param lastEventId the last state the client has seen
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
  let text: string | undefined;
  const listening = () => signal?.aborted !== true;
  while (listening()) {
    // Before reading the database, so that no change is missed.
    change = Promise.withResolvers();
    // Streams would block shutdown. The client reconnects after this failure.
    if (draining())
      return fail(ctx, { kind: 'failed', failure: { code: 'overloaded', retryAfter: RETRY_AFTER_SECONDS } });
    const caller = await sessions.authenticate(ctx.accessToken ?? '');
    if (caller.kind === 'failed') return fail(ctx, caller);
    const latest = JSON.stringify(caller.user);
    // Thousands of streams look, and hardly ever find anything: the hash is left to those that do.
    if (latest !== text) {
      text = latest;
      const state = stateOf(latest);
      if (state !== known) {
        known = state;
        yield tracked(state, { user: caller.user });
      }
    }
    const timer = setTimeout(wake, Math.min(Math.max(0, caller.tokenExpiresAt - clock()), MAX_TIMER_MS));
    await change.promise;
    clearTimeout(timer);
  }
}

const stateOf = (user: string) => createHash('sha256').update(user).digest('base64url').slice(0, 16);
