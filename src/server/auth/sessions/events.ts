import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { tracked } from '@trpc/server';
import type { User } from '../../../shared/auth.ts';
import { fail, type Context } from '../../trpc.ts';
import { concurrency } from '../limits/concurrency.ts';

/** Streams poll the database, because a notification within this process would miss changes made by another server. */
const POLL_INTERVAL_MS = 1_000;
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
  const { sessions, draining } = ctx.services;
  const first = await ctx.authenticate();
  if (first.kind === 'failed') return fail(ctx, first);
  using place = streams.enter(first.session.id);
  if (place === undefined)
    return fail(ctx, { kind: 'failed', failure: { code: 'rate_limited', retryAfter: RETRY_AFTER_SECONDS } });

  let known = lastEventId;
  const listening = () => signal?.aborted !== true;
  while (listening()) {
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
    await setTimeout(POLL_INTERVAL_MS, undefined, { signal }).catch(ignoreAbort);
  }
}

/** A short id that differs whenever the user does. */
const stateOf = (user: User) => createHash('sha256').update(JSON.stringify(user)).digest('base64url').slice(0, 16);

/** An abort means that the client has disconnected; the loop then ends by itself. */
function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
}
