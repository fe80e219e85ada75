import { randomUUID } from 'node:crypto';
import type { LoginInput, RegisterInput } from '../../shared/auth.ts';
import type { Failure } from '../../shared/failures.ts';
import type { Passwords } from './passwords/hash.ts';
import { passwordProblems } from './passwords/policy.ts';
import type { Failed } from './sessions/sessions.ts';
import type { Proof } from './sign-in.ts';
import type { Account, AuthStore } from './store/auth-store.ts';

const failed = (failure: Failure): Failed => ({ kind: 'failed', failure });

/** Neither creating an account nor checking a password starts a session: see sign-in.ts. */
export function createAccounts(options: {
  store: AuthStore;
  passwords: Passwords;
  passwordMinLength: number;
  /** Whether `prepare` may say that an email is taken. If not, whoever owns the email has to be asked. */
  revealsEmail?: boolean;
  clock: () => number;
}) {
  const { store, passwords, passwordMinLength, revealsEmail = true, clock } = options;

  async function hash(password: string, network?: string): Promise<{ kind: 'hashed'; hash: string } | Failed> {
    const hashed = await passwords.hash(password, network);
    return hashed.kind === 'overloaded' ? failed({ code: 'overloaded', retryAfter: hashed.retryAfter }) : hashed;
  }

  /**
   * Validates the input and hashes the password. `signIn` then stores the account together with its first session, so
   * that neither exists without the other.
   * @param network shares out hashing capacity fairly; see `clientNetwork`
   */
  async function prepare(
    input: RegisterInput,
    network?: string,
  ): Promise<{ kind: 'new-account'; account: Account } | Failed> {
    const { username, email, password } = input;
    const problems = passwordProblems(password, input, passwordMinLength);
    if (problems.length > 0) return failed({ code: 'invalid_input', fields: { password: problems } });
    // Before the expensive hash. Creating the account checks again, because of concurrent requests.
    const taken = await store.findTaken(username, email);
    if (taken === 'username_taken' || (taken === 'email_taken' && revealsEmail)) return failed({ code: taken });
    const hashed = await hash(password, network);
    if (hashed.kind === 'failed') return hashed;
    const now = clock();
    const account: Account = {
      id: randomUUID(),
      username,
      email,
      emailVerifiedAt: null,
      passwordHash: hashed.hash,
      passwordChangedAt: now,
      role: 'user',
      disabledAt: null,
      createdAt: now,
    };
    return { kind: 'new-account', account };
  }

  return {
    prepare,

    /**
     * Checks and hashes a new password of an account, by the same rules as at registration.
     * @param network shares out hashing capacity fairly; see `clientNetwork`
     * @returns what `changeAccount` is to set
     */
    async preparePassword(
      password: string,
      account: Account,
      network?: string,
    ): Promise<{ kind: 'prepared'; set: Pick<Account, 'passwordHash' | 'passwordChangedAt'> } | Failed> {
      const problems = passwordProblems(password, account, passwordMinLength);
      if (problems.length > 0) return failed({ code: 'invalid_input', fields: { password: problems } });
      const hashed = await hash(password, network);
      if (hashed.kind === 'failed') return hashed;
      // It has to differ, even if a clock was set back: this is how others notice that the password is another one.
      const passwordChangedAt = Math.max(clock(), account.passwordChangedAt + 1);
      return { kind: 'prepared', set: { passwordHash: hashed.hash, passwordChangedAt } };
    },

    /** Creates an account without signing in. */
    async create(input: RegisterInput): Promise<{ kind: 'account'; account: Account } | Failed> {
      const prepared = await prepare(input);
      if (prepared.kind === 'failed') return prepared;
      const { kind } = await store.createAccount(prepared.account);
      return kind === 'created' ? { kind: 'account', account: prepared.account } : failed({ code: kind });
    },

    /**
     * Verifies an email and password. An unknown email gets the same answer, after the same work, as a wrong
     * password.
     */
    async checkPassword({ email, password }: Pick<LoginInput, 'email' | 'password'>, network?: string): Promise<Proof> {
      const account = await store.findAccountByEmail(email);
      const verified = await passwords.verify(password, account?.passwordHash, network);
      if (verified.kind === 'overloaded') return failed({ code: 'overloaded', retryAfter: verified.retryAfter });
      if (verified.kind === 'mismatch' || account === undefined)
        return { ...failed({ code: 'invalid_credentials' }), email, userId: account?.id };
      if (passwords.needsRehash(account.passwordHash)) {
        const rehashed = await passwords.hash(password, network);
        // When overloaded, the old hash stays until the next login.
        if (rehashed.kind === 'hashed')
          await store.replacePasswordHash(account.id, account.passwordHash, rehashed.hash);
      }
      return { kind: 'account', account };
    },
  };
}
