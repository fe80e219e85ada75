import { createHmac } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { getRounds } from 'bcryptjs';
import { Piscina } from 'piscina';
import { concurrency } from '../limits/concurrency.ts';
import { decoy, type PasswordTask } from './worker.ts';

/** Distinguishes our hashes from all others: one stolen elsewhere, or here, verifies nothing at the other place. */
const LABEL = 'latchkey/password/v1';
/** The longest that anybody should wait for a thread: by then they would have given up. In seconds. */
const LONGEST_WAIT = 10;
/** About what bcryptjs takes for one hash at cost 12; each step of the cost doubles it. In seconds. */
const SECONDS_AT_COST_12 = 0.3;
/** When to try again after the queue was full. In seconds. */
const RETRY_AFTER = 5;
/** How much of the queue one network may take, so that it cannot keep everybody else out. */
const SHARE_OF_ONE = 0.75;
/** All who come over no network, such as a script. */
const NO_NETWORK = '';
/** bcrypt's own format (60 characters); anything else in the column is a fault of ours, not a password. */
const BCRYPT_HASH = /^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

export interface Overloaded {
  kind: 'overloaded';
  /** Seconds. */
  retryAfter: number;
}

/**
 * Hashing passwords off the main thread, with a bounded queue: hashing never stalls another request.
 * @param options.cost bcrypt's, log2 of the rounds
 * @param options.maxQueue tasks that may wait; by default as many as can be done in ten seconds
 * @param options.onBadHash told when a stored hash is none
 */
export function createPasswords(options: { cost: number; threads?: number; maxQueue?: number; onBadHash: () => void }) {
  const { cost, onBadHash } = options;
  // One core stays free for everybody who is not logging in just now.
  const threads = options.threads ?? Math.max(1, availableParallelism() - 1);
  const hashesPerSecond = threads / (SECONDS_AT_COST_12 * 2 ** (cost - 12));
  const maxQueue = options.maxQueue ?? Math.ceil(LONGEST_WAIT * hashesPerSecond);
  const pool = new Piscina<PasswordTask, string | boolean>({
    filename: new URL('./worker.ts', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    maxQueue,
  });

  let closed = false;
  const places = concurrency(Math.ceil(SHARE_OF_ONE * maxQueue));

  async function run(task: PasswordTask, network: string): Promise<string | boolean | Overloaded> {
    using place = places.enter(network);
    const overloaded: Overloaded = { kind: 'overloaded', retryAfter: RETRY_AFTER };
    if (place === undefined || pool.queueSize >= maxQueue) return overloaded;
    try {
      return await pool.run(task);
    } catch (error) {
      // The server is stopping, and whoever still waited here has gone.
      if (closed) return overloaded;
      throw error;
    }
  }

  return {
    /** @param password as typed @param network for whom: see address.ts */
    async hash(password: string, network = NO_NETWORK): Promise<{ kind: 'hashed'; hash: string } | Overloaded> {
      const result = await run({ kind: 'hash', digest: digestOf(password), cost }, network);
      return typeof result === 'object' ? result : { kind: 'hashed', hash: String(result) };
    },

    /**
     * Whether the password belongs to the hash. Without a hash (no such account) the same work is done, and the answer is
     * no: how long it takes tells nobody who has an account.
     */
    async verify(
      password: string,
      hash: string | undefined,
      network = NO_NETWORK,
    ): Promise<{ kind: 'match' | 'mismatch' } | Overloaded> {
      const isHash = hash !== undefined && BCRYPT_HASH.test(hash);
      if (hash !== undefined && !isHash) onBadHash();
      // No such password can have been set, and its lone surrogates would all be hashed as the same character.
      const usable = isHash && password.isWellFormed();
      const result = await run(
        { kind: 'compare', digest: digestOf(password), hash: usable ? hash : decoy(cost), cost },
        network,
      );
      if (typeof result === 'object') return result;
      return { kind: result === true && usable ? 'match' : 'mismatch' };
    },

    /** Whether a hash was made with another cost than is set now. */
    needsRehash: (hash: string): boolean => getRounds(hash) !== cost,

    /** Ends the threads. What still waits then is of clients that have gone. */
    close(): Promise<void> {
      closed = true;
      return pool.destroy();
    },
  };
}
export type Passwords = ReturnType<typeof createPasswords>;

/**
 * bcrypt looks at 72 bytes and no more. Of a keyed digest it sees the whole: 64 characters of base64, no NUL among them.
 * NFC, because the same password is typed differently on different systems (RFC 8265, section 4.2).
 */
function digestOf(password: string): string {
  return createHmac('sha384', LABEL).update(password.normalize('NFC')).digest('base64');
}
