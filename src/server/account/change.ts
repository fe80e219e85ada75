import type { User } from '../../shared/auth.ts';
import { changeOwnAccount } from '../auth/own-account.ts';
import { clientNetwork } from '../auth/limits/client-network.ts';
import { toUser, type Account } from '../auth/store/auth-store.ts';
import { newMail } from '../mail/mails.ts';
import { fail, type ProtectedContext } from '../trpc.ts';

const HOUR_SECONDS = 60 * 60;

/** By account. docs/security.md explains each. */
export const ACCOUNT_LIMITS = {
  changeUsername: { points: 20, durationSeconds: 24 * HOUR_SECONDS },
  changePassword: { points: 20, durationSeconds: HOUR_SECONDS },
  export: { points: 20, durationSeconds: HOUR_SECONDS },
};

/** Counts a call of the user. @throws FailureError where there have been too many */
export async function limit(ctx: ProtectedContext, name: keyof typeof ACCOUNT_LIMITS): Promise<void> {
  const limited = await ctx.services.limiter(name, ACCOUNT_LIMITS[name])(ctx.user.id);
  if (limited !== undefined) await fail(ctx, limited);
}

/** @throws FailureError if the account has been deleted since the call was authenticated */
async function accountOf(ctx: ProtectedContext): Promise<Account> {
  const account = await ctx.services.findAccount(ctx.user.id);
  return account ?? fail(ctx, { kind: 'failed', failure: { code: 'session_ended', reason: 'revoked' } });
}

/**
 * Whether it is the password, which it must not be, goes unchecked: whoever holds a session could guess the password that way.
 * @returns the user with the new name
 */
export async function changeUsername(ctx: ProtectedContext, username: string): Promise<User> {
  const { req, services, user, session } = ctx;
  if (username === user.username) return user;
  await limit(ctx, 'changeUsername');
  const changed = await changeOwnAccount(ctx, { set: { username } });
  const detail = `${user.username} → ${username}`;
  await services.audit.record(req, { type: 'username_changed', userId: user.id, sessionId: session.id, detail });
  return toUser(changed);
}

/** The other sessions of the person end, and so do the links that could set another password or email. */
export async function changePassword(ctx: ProtectedContext, password: string): Promise<void> {
  const { req, services, user, session } = ctx;
  await limit(ctx, 'changePassword');
  const account = await accountOf(ctx);
  const prepared = await services.accounts.preparePassword(password, account, clientNetwork(req));
  if (prepared.kind === 'failed') return fail(ctx, prepared);
  await changeOwnAccount(ctx, {
    expected: { passwordChangedAt: account.passwordChangedAt },
    set: prepared.set,
    endSessions: { except: session.id },
    revokeLinks: ['password-reset', 'email-change'],
    mails: [newMail('password-changed', toUser(account), {})],
  });
  await services.audit.record(req, { type: 'password_changed', userId: user.id, sessionId: session.id });
}

/** @param username typed again, exactly as it is shown */
export async function deleteAccount(ctx: ProtectedContext, username: string): Promise<void> {
  const { req, services, user } = ctx;
  if (username !== user.username) {
    const fields = { username: [`Enter your username exactly as shown: ${user.username}`] };
    return fail(ctx, { kind: 'failed', failure: { code: 'invalid_input', fields } });
  }
  await changeOwnAccount(ctx, {
    delete: true,
    mails: [newMail('account-deleted', user, {})],
  });
  await services.audit.record(req, { type: 'account_deleted', userId: user.id });
}
