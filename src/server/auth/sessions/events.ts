import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { tracked } from '@trpc/server';
import type { User } from '../../../shared/auth.ts';
import { fail, type Context } from '../../trpc.ts';
import { concurrency } from '../limits/concurrency.ts';

/** How often a stream looks at its session. In milliseconds. Looking, and not being told, finds what another server did. */
const INTERVAL = 1_000;
/** A browser needs one; a few more while tabs come and go. */
const STREAMS_PER_SESSION = 10;
/** When to try again with too many streams. In seconds. */
const RETRY_AFTER = 5;

const streams = concurrency(STREAMS_PER_SESSION);

/**
 * Tells a page about its own session: each event is the user as they are now. The stream ends with the failure that a
 * protected call would meet, as soon as it would: `session_ended`, or `access_token_expired`, after which the link
 * refreshes and resumes. Its event ids name a state, not a place in a queue, so resuming leaves no gap.
 * @param lastEventId the state that the client knows
 */
export async function* sessionEvents(ctx: Context, lastEventId: string | undefined, signal: AbortSignal | undefined) {
  const { sessions, draining } = ctx.services;
  const first = await ctx.authenticate();
  if (first.kind === 'failed') return fail(ctx, first);
  using place = streams.enter(first.session.id);
  if (place === undefined)
    return fail(ctx, { kind: 'failed', failure: { code: 'rate_limited', retryAfter: RETRY_AFTER } });

  let known = lastEventId;
  const listening = () => signal?.aborted !== true;
  while (listening()) {
    // A server that is stopping ends its streams, or they would keep it. This failure makes the client connect again.
    if (draining()) return fail(ctx, { kind: 'failed', failure: { code: 'overloaded', retryAfter: RETRY_AFTER } });
    const caller = await sessions.authenticate(ctx.accessToken ?? '');
    if (caller.kind === 'failed') return fail(ctx, caller);
    const state = stateOf(caller.user);
    if (state !== known) {
      known = state;
      yield tracked(state, { user: caller.user });
    }
    await setTimeout(INTERVAL, undefined, { signal }).catch(ignoreAbort);
  }
}

/** Short, and different for whatever a client may see differently. */
const stateOf = (user: User) => createHash('sha256').update(JSON.stringify(user)).digest('base64url').slice(0, 16);

/** The client has gone: the loop ends by itself. */
function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
}
