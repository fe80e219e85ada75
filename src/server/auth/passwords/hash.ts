import { createHmac } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { getRounds } from 'bcryptjs';
import type { Piscina } from 'piscina';
import { concurrency } from '../limits/concurrency.ts';
import { decoy, type PasswordTask } from './worker.ts';

/** Key of the digest, so that a hash of the same password stolen elsewhere matches nothing here, nor ours there. */
const DIGEST_KEY = 'latchkey/password/v1';
/** How long the last task in a full queue waits. People give up about then. */
const MAX_WAIT_SECONDS = 10;
/** Roughly what bcryptjs takes for a hash at cost 12. Each step of the cost doubles it. */
const SECONDS_AT_COST_12 = 0.3;
const RETRY_AFTER_SECONDS = 5;
/** The share of the queue that one network may fill, so that it cannot keep out everybody else. */
const MAX_SHARE_OF_NETWORK = 0.75;
const NO_NETWORK = '';
/** The format of bcrypt, 60 characters. Anything else in the column is corrupt. */
const BCRYPT_HASH = /^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

export interface Overloaded {
  kind: 'overloaded';
  /** Seconds. */
  retryAfter: number;
}

/**
 * Hashes passwords in worker threads, so that hashing never blocks other requests, with a bounded queue.
 * @param options.cost of bcrypt: log2 of the number of rounds
 * @param options.maxQueue the number of tasks that may wait; by default as many as are done in ten seconds
 * @param options.onMalformedHash called when a stored hash is not a bcrypt hash
 */
export function createPasswords(options: {
  cost: number;
  threads?: number;
  maxQueue?: number;
  onMalformedHash: () => void;
}) {
  const { cost, onMalformedHash } = options;
  // One core stays free for everything else.
  const threads = options.threads ?? Math.max(1, availableParallelism() - 1);
  const hashesPerSecond = threads / (SECONDS_AT_COST_12 * 2 ** (cost - 12));
  const maxQueue = options.maxQueue ?? Math.ceil(MAX_WAIT_SECONDS * hashesPerSecond);
  let pool: Promise<Piscina<PasswordTask, string | boolean>> | undefined;
  let closed = false;

  /** Only for the first password: threads take time to start, and each has a heap of its own. */
  async function startPool() {
    const { Piscina } = await import('piscina');
    return new Piscina<PasswordTask, string | boolean>({
      filename: new URL('./worker.ts', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      maxQueue,
    });
  }

  const slots = concurrency(Math.ceil(MAX_SHARE_OF_NETWORK * maxQueue));

  async function run(task: PasswordTask, network: string): Promise<string | boolean | Overloaded> {
    using slot = slots.enter(network);
    const overloaded: Overloaded = { kind: 'overloaded', retryAfter: RETRY_AFTER_SECONDS };
    if (slot === undefined || closed) return overloaded;
    const started = await (pool ??= startPool());
    if (started.queueSize >= maxQueue) return overloaded;
    try {
      return await started.run(task);
    } catch (error) {
      // The pool was closed under it: the server is stopping.
      if (closed) return overloaded;
      throw error;
    }
  }

  return {
    /** @param password as typed @param network the caller's, for the fair share; see `clientNetwork` */
    async hash(password: string, network = NO_NETWORK): Promise<{ kind: 'hashed'; hash: string } | Overloaded> {
      const result = await run({ kind: 'hash', digest: digestOf(password), cost }, network);
      return typeof result === 'object' ? result : { kind: 'hashed', hash: String(result) };
    },

    /**
     * Compares a password with a stored hash. Without a hash, for an account that does not exist, it does the same work and
     * answers `mismatch`, so that timing does not reveal who has an account.
     */
    async verify(
      password: string,
      hash: string | undefined,
      network = NO_NETWORK,
    ): Promise<{ kind: 'match' | 'mismatch' } | Overloaded> {
      const isHash = hash !== undefined && BCRYPT_HASH.test(hash);
      if (hash !== undefined && !isHash) onMalformedHash();
      // A password with a lone surrogate cannot have been set, but all of them would be hashed as the same character.
      const usable = isHash && password.isWellFormed();
      const result = await run(
        { kind: 'compare', digest: digestOf(password), hash: usable ? hash : decoy(cost), cost },
        network,
      );
      if (typeof result === 'object') return result;
      return { kind: result === true && usable ? 'match' : 'mismatch' };
    },

    needsRehash: (hash: string): boolean => getRounds(hash) !== cost,

    /** Stops the threads. Whatever still waits is answered `overloaded`. */
    async close(): Promise<void> {
      closed = true;
      await (await pool)?.destroy();
    },
  };
}
export type Passwords = ReturnType<typeof createPasswords>;

/**
 * bcrypt ignores everything after 72 bytes or a NUL, so it gets a digest of the password: 64 characters of base64. NFC,
 * because systems differ in how they encode the same typed password (RFC 8265, section 4.2).
 */
function digestOf(password: string): string {
  return createHmac('sha384', DIGEST_KEY).update(password.normalize('NFC')).digest('base64');
}
