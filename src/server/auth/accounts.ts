import { randomUUID } from 'node:crypto';
import { newPassword, type LoginInput, type RegisterInput, type User } from '../../shared/auth.ts';
import { isCommonPassword } from './passwords/common-passwords.ts';
import type { Overloaded, Passwords } from './passwords/hash.ts';
import type { Failed } from './sessions/sessions.ts';
import { toUser, type Account, type AuthStore } from './store/auth-store.ts';

const overloaded = ({ retryAfter }: Overloaded): Failed => ({ failure: { code: 'overloaded', retryAfter } });

/** Somebody whose account is still to be created: with their first session, so that there is both or neither. */
export interface NewPerson {
  user: User;
  account: Account;
}

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

  /**
   * An account as it is to be created, with its password hashed.
   * @param input as parsed by the shared schema @param network for whom: see address.ts
   */
  async function prepare({ username, email, password }: RegisterInput, network?: string): Promise<NewPerson | Failed> {
    const objections = objectionsTo(password);
    if (objections.length > 0) return { failure: { code: 'invalid_input', fields: { password: objections } } };
    const hashed = await passwords.hash(password, network);
    if (hashed.kind === 'overloaded') return overloaded(hashed);
    const account = { id: randomUUID(), username, email, passwordHash: hashed.hash, createdAt: clock() };
    return { user: toUser(account), account };
  }

  return {
    prepare,

    /** Creates an account that nobody is logged in to. @param input as parsed by the shared schema */
    async create(input: RegisterInput): Promise<{ user: User } | Failed> {
      const prepared = await prepare(input);
      if ('failure' in prepared) return prepared;
      const { kind } = await store.createAccount(prepared.account);
      return kind === 'created' ? { user: prepared.user } : { failure: { code: kind } };
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
