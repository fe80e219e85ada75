import { TRPCError } from '@trpc/server';
import type { Role } from '../../shared/auth.ts';
import type { AuditType } from '../auth/audit.ts';
import { disabling, roleChange } from '../auth/administration.ts';
import { passwordResetLink, requireMail } from '../auth/mailed-links.ts';
import { isActiveAdmin, toUser, type Account, type AccountChange } from '../auth/store/auth-store.ts';
import { fail, type ProtectedContext } from '../trpc.ts';

type Changes = Omit<AccountChange, 'userId' | 'now' | 'session' | 'byAdmin'>;

/**
 * Changes the account of somebody, unless the session of the admin has ended meanwhile, or they are no longer one.
 * @param decide what to change of the account as it is: nothing, if undefined
 * @returns the ids of the sessions ended; undefined where nothing was to be changed
 * @throws TRPCError NOT_FOUND
 * @throws FailureError if it may not be changed
 */
async function change(ctx: ProtectedContext, userId: string, decide: (account: Account) => Changes | undefined) {
  const { services, session } = ctx;
  // Whenever somebody else was faster, the account has changed, so this ends.
  for (;;) {
    const account = await services.findAccount(userId);
    if (account === undefined) throw new TRPCError({ code: 'NOT_FOUND' });
    const changes = decide(account);
    if (changes === undefined) return undefined;
    const now = services.clock();
    const changed = await services.changeAccount({ userId, now, session: session.id, byAdmin: true, ...changes });
    if (changed.kind === 'changed') return changed.endedSessions;
    if (changed.kind !== 'overtaken') return fail(ctx, { kind: 'failed', failure: { code: changed.kind } });
    const caller = await services.sessions.authenticate(ctx.accessToken ?? '');
    if (caller.kind === 'failed') return fail(ctx, caller);
    const admin = await services.findAccount(ctx.user.id);
    if (admin === undefined || !isActiveAdmin(admin))
      return fail(ctx, { kind: 'failed', failure: { code: 'forbidden' } });
  }
}

const record = ({ req, services, user }: ProtectedContext, type: AuditType, userId: string, detail?: string) =>
  services.audit.record(req, { type, userId, actorId: user.id, detail });

/** Ends every session of a person. @returns how many of them could still be used */
export async function endSessionsOf(ctx: ProtectedContext, userId: string): Promise<{ ended: number }> {
  const usable = new Set((await ctx.services.sessions.live(userId)).map(({ id }) => id));
  const endedSessions = await change(ctx, userId, () => ({ endSessions: {} }));
  const ended = endedSessions?.filter((id) => usable.has(id)).length ?? 0;
  await record(ctx, 'sessions_ended', userId, String(ended));
  return { ended };
}

/** Takes effect at their next call, and their pages show it at once. */
export async function setRole(ctx: ProtectedContext, userId: string, role: Role): Promise<void> {
  let from: Role | undefined;
  const changed = await change(ctx, userId, (account) => {
    from = account.role;
    return roleChange(account, role);
  });
  if (changed !== undefined) await record(ctx, 'role_changed', userId, `${from} → ${role}`);
}

/** Disabling ends their sessions in the same step. Admins may disable themselves, if they are not the last. */
export async function setDisabled(ctx: ProtectedContext, userId: string, disabled: boolean): Promise<void> {
  const { clock } = ctx.services;
  const changed = await change(ctx, userId, (account) => disabling(account, disabled, clock()));
  if (changed !== undefined) await record(ctx, disabled ? 'disabled' : 'enabled', userId);
}

/** Mails the same link as if the person had asked for it. @throws FailureError where it would be of no use */
export async function sendPasswordReset(ctx: ProtectedContext, userId: string): Promise<void> {
  const { links } = ctx.services;
  await requireMail(ctx);
  let isDisabled = false;
  await change(ctx, userId, (account) => {
    isDisabled = account.disabledAt !== null;
    if (isDisabled) return undefined;
    return { expected: { email: account.email, disabledAt: null }, ...passwordResetLink(links, toUser(account)) };
  });
  if (isDisabled) {
    const fields = { id: ['This account is disabled. Enable it first.'] };
    return fail(ctx, { kind: 'failed', failure: { code: 'invalid_input', fields } });
  }
  await record(ctx, 'password_reset_requested', userId);
}
