import { randomUUID } from 'node:crypto';
import { newPassword, type LoginInput, type RegisterInput, type User } from '../../shared/auth.ts';
import { isCommonPassword } from './common-passwords.ts';
import type { Overloaded, Passwords } from './passwords.ts';
import type { Failed } from './sessions.ts';
import { toUser, type AuthStore } from './store.ts';

const overloaded = ({ retryAfter }: Overloaded): Failed => ({ failure: { code: 'overloaded', retryAfter } });

/** Creating accounts and checking passwords. Neither begins a session: that is sign-in.ts. */
export function createAccounts(options: {
  store: AuthStore;
  passwords: Passwords;
  /** In code points. */
  passwordMinLength: number;
  /** Milliseconds since the epoch. */
  clock: () => number;
}) {
  const { store, passwords, passwordMinLength, clock } = options;

  /** What speaks against a new password beyond what the shared schema can know. */
  function objectionsTo(password: string): string[] {
    const parsed = newPassword(passwordMinLength).safeParse(password);
    if (!parsed.success) return parsed.error.issues.map(({ message }) => message);
    return isCommonPassword(password) ? ['Many people use this password. Choose another one.'] : [];
  }

  return {
    /** @param input as parsed by the shared schema @param network for whom: see address.ts */
    async create({ username, email, password }: RegisterInput, network?: string): Promise<{ user: User } | Failed> {
      const objections = objectionsTo(password);
      if (objections.length > 0) return { failure: { code: 'invalid_input', fields: { password: objections } } };
      const hashed = await passwords.hash(password, network);
      if (hashed.kind === 'overloaded') return overloaded(hashed);
      const account = { id: randomUUID(), username, email, passwordHash: hashed.hash, createdAt: clock() };
      const outcome = await store.createAccount(account);
      return outcome === 'created' ? { user: toUser(account) } : { failure: { code: outcome } };
    },

    /** The same answer after the same work, whether the email is unknown or the password wrong. */
    async checkPassword({ email, password }: LoginInput, network?: string): Promise<{ user: User } | Failed> {
      const account = await store.findAccountByEmail(email);
      const verified = await passwords.verify(password, account?.passwordHash, network);
      if (verified.kind === 'overloaded') return overloaded(verified);
      if (verified.kind === 'mismatch' || account === undefined) return { failure: { code: 'invalid_credentials' } };
      if (passwords.needsRehash(account.passwordHash)) {
        const rehashed = await passwords.hash(password, network);
        // Too busy to do it now: the old hash is still good, and the next login comes past here again.
        if (rehashed.kind === 'hashed')
          await store.replacePasswordHash(account.id, account.passwordHash, rehashed.hash);
      }
      return { user: toUser(account) };
    },
  };
}
export type Accounts = ReturnType<typeof createAccounts>;
