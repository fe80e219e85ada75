import { fail, type ProtectedContext } from '../trpc.ts';
import type { Account, AccountChange } from './store/auth-store.ts';

/**
 * Changes the account of the caller, unless their session has ended meanwhile.
 * @returns the account as it is now, or last was
 * @throws FailureError if it cannot be changed
 */
export async function changeOwnAccount(
  ctx: ProtectedContext,
  changes: Omit<AccountChange, 'userId' | 'now' | 'session' | 'byAdmin'>,
): Promise<Account> {
  const { services, user, session } = ctx;
  const now = services.clock();
  const changed = await services.changeAccount({ userId: user.id, now, session: session.id, ...changes });
  if (changed.kind === 'changed') return changed.account;
  if (changed.kind !== 'overtaken') return fail(ctx, { kind: 'failed', failure: { code: changed.kind } });
  // Another call was faster. Either it has ended this session, or the person is to look at what it did, and try again.
  const caller = await services.sessions.authenticate(ctx.accessToken ?? '');
  if (caller.kind === 'failed') return fail(ctx, caller);
  return fail(ctx, { kind: 'failed', failure: { code: 'reauthentication_required' } });
}
