import { randomUUID } from 'node:crypto';
import { fail, type Context } from '../trpc.ts';
import { accountKey } from './limits/throttle.ts';
import type { Link } from './links.ts';
import { alreadyRegistered, registrationLink } from './mailed-links.ts';
import { toUser, type Account } from './store/auth-store.ts';

/**
 * Registering without telling whether there is an account with the email: its owner finds out by mail. The account does not
 * exist before the link is used, or else whether its username is taken by then would tell. An email with an account costs the
 * same work.
 */
export async function mailRegistration(ctx: Context, account: Account): Promise<void> {
  const { req, services } = ctx;
  const { links, findAccountByEmail, createLink, audit } = services;
  const { email } = account;
  const owner = await findAccountByEmail(email);
  const { newLink, mails } =
    owner === undefined ? registrationLink(links, account) : alreadyRegistered(links, toUser(owner));
  await createLink(newLink, mails);
  await audit.record(req, { type: 'registration_requested', userId: owner?.id, detail: accountKey(email) });
}

/**
 * Creates the account that a link is for. Nobody is signed in: whoever registered logs in with the password.
 * @throws FailureError if the link has been used, or the username taken, since
 */
export async function completeRegistration(ctx: Context, link: Link<'registration'>): Promise<void> {
  const { createAccountWithLink, clock, audit } = ctx.services;
  const now = clock();
  const account: Account = {
    ...link.data,
    id: randomUUID(),
    emailVerifiedAt: now,
    passwordChangedAt: now,
    role: 'user',
    disabledAt: null,
    createdAt: now,
  };
  const { kind } = await createAccountWithLink(account, link.id);
  if (kind !== 'created') {
    // With a taken email, the owner has registered by another link.
    const code = kind === 'username_taken' ? kind : 'link_invalid';
    return fail(ctx, { kind: 'failed', failure: { code } });
  }
  await audit.record(ctx.req, { type: 'registered', userId: account.id });
}
