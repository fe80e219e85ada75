import { randomUUID } from 'node:crypto';
import type { LoginInput, RegisterInput, User } from '../../shared/auth.ts';
import type { Failure } from '../../shared/failures.ts';
import type { Passwords } from './passwords/hash.ts';
import { passwordProblems } from './passwords/policy.ts';
import type { Failed } from './sessions/sessions.ts';
import type { Proof } from './sign-in.ts';
import { toUser, type Account, type AuthStore } from './store/auth-store.ts';

const failed = (failure: Failure): Failed => ({ kind: 'failed', failure });

/** Creates accounts and checks passwords. Neither starts a session: see sign-in.ts. */
export function createAccounts(options: {
  store: AuthStore;
  passwords: Passwords;
  /** In code points. */
  passwordMinLength: number;
  /** Milliseconds since the epoch. */
  clock: () => number;
}) {
  const { store, passwords, passwordMinLength, clock } = options;

  /**
   * Checks what is asked for and hashes the password. The account is not stored yet: `signIn` creates it together with its
   * first session, so that there is never one without the other.
   * @param input as parsed by the shared schema
   * @param network for the fair sharing of hashing capacity; see `clientNetwork`
   */
  async function prepare(
    input: RegisterInput,
    network?: string,
  ): Promise<{ kind: 'new-account'; account: Account } | Failed> {
    const { username, email, password } = input;
    const problems = passwordProblems(password, input, passwordMinLength);
    if (problems.length > 0) return failed({ code: 'invalid_input', fields: { password: problems } });
    // Before the expensive hash. Creating the account checks again, for two may ask at once.
    const taken = await store.findTaken(username, email);
    if (taken !== undefined) return failed({ code: taken });
    const hashed = await passwords.hash(password, network);
    if (hashed.kind === 'overloaded') return failed({ code: 'overloaded', retryAfter: hashed.retryAfter });
    const account = { id: randomUUID(), username, email, passwordHash: hashed.hash, createdAt: clock() };
    return { kind: 'new-account', account };
  }

  return {
    prepare,

    /** Creates an account without signing in. @param input as parsed by the shared schema */
    async create(input: RegisterInput): Promise<{ kind: 'user'; user: User } | Failed> {
      const prepared = await prepare(input);
      if (prepared.kind === 'failed') return prepared;
      const { kind } = await store.createAccount(prepared.account);
      return kind === 'created' ? { kind: 'user', user: toUser(prepared.account) } : failed({ code: kind });
    },

    /**
     * Verifies an email and password. An unknown email gets the same answer after the same work as a wrong password.
     * @param network as for `prepare`
     */
    async checkPassword({ email, password }: LoginInput, network?: string): Promise<Proof> {
      const account = await store.findAccountByEmail(email);
      const verified = await passwords.verify(password, account?.passwordHash, network);
      if (verified.kind === 'overloaded') return failed({ code: 'overloaded', retryAfter: verified.retryAfter });
      if (verified.kind === 'mismatch' || account === undefined)
        return { ...failed({ code: 'invalid_credentials' }), email };
      if (passwords.needsRehash(account.passwordHash)) {
        const rehashed = await passwords.hash(password, network);
        // When overloaded, the old hash remains good until the next login.
        if (rehashed.kind === 'hashed')
          await store.replacePasswordHash(account.id, account.passwordHash, rehashed.hash);
      }
      return { kind: 'user', user: toUser(account) };
    },
  };
}
