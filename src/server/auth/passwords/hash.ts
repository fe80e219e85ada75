import { createHmac } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { getRounds } from 'bcryptjs';
import type { Piscina } from 'piscina';
import { concurrency } from '../limits/concurrency.ts';
import { decoy, type PasswordTask } from './worker.ts';

/** So that hashes of the same password stolen elsewhere match nothing here, and vice versa. */
const DIGEST_KEY = 'latchkey/password/v1';
const MAX_WAIT_SECONDS = 10;
/** Roughly what bcryptjs takes; each step of the cost doubles it. */
const SECONDS_AT_COST_12 = 0.3;
const RETRY_AFTER_SECONDS = 5;
const MAX_SHARE_OF_NETWORK = 0.75;
const NO_NETWORK = '';
/** Anything else in the column is corrupt. */
const BCRYPT_HASH = /^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

export interface Overloaded {
  kind: 'overloaded';
  /** Seconds. */
  retryAfter: number;
}

/**
 * Hashes passwords in worker threads with a bounded queue, so that hashing never blocks other requests.
 * @param options.cost of bcrypt: log2 of the number of rounds
 * @param options.maxQueue how many tasks may wait; by default ten seconds of work
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

  /** Lazy: threads take time to start, and each has its own heap. */
  async function startPool() {
    const { Piscina } = await import('piscina');
    return new Piscina<PasswordTask, string | boolean>({
      // In the built server, its neighbor is a .js file.
      filename: new URL(`./worker${extname(import.meta.url)}`, import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      maxQueue,
    });
  }

  /** A kept rejection would refuse every login until a restart. */
  function forgetPool(error: unknown): never {
    pool = undefined;
    throw error;
  }

  const slots = concurrency(Math.ceil(MAX_SHARE_OF_NETWORK * maxQueue));

  async function run(task: PasswordTask, network: string): Promise<string | boolean | Overloaded> {
    using slot = slots.enter(network);
    const overloaded: Overloaded = { kind: 'overloaded', retryAfter: RETRY_AFTER_SECONDS };
    if (slot === undefined || closed) return overloaded;
    const started = await (pool ??= startPool().catch(forgetPool));
    if (started.queueSize >= maxQueue) return overloaded;
    try {
      return await started.run(task);
    } catch (error) {
      if (closed) return overloaded;
      throw error;
    }
  }

  return {
    async hash(password: string, network = NO_NETWORK): Promise<{ kind: 'hashed'; hash: string } | Overloaded> {
      const result = await run({ kind: 'hash', digest: digestOf(password), cost }, network);
      return typeof result === 'object' ? result : { kind: 'hashed', hash: String(result) };
    },

    /**
     * Compares a password with a stored hash. If there is none, because the account does not exist, it does the same
     * work and returns `mismatch`, so that timing reveals nothing.
     */
    async verify(
      password: string,
      hash: string | undefined,
      network = NO_NETWORK,
    ): Promise<{ kind: 'match' | 'mismatch' } | Overloaded> {
      const isHash = hash !== undefined && BCRYPT_HASH.test(hash);
      if (hash !== undefined && !isHash) onMalformedHash();
      // A lone surrogate cannot have been set, and all of them encode to the same replacement character.
      const usable = isHash && password.isWellFormed();
      const result = await run(
        { kind: 'compare', digest: digestOf(password), hash: usable ? hash : decoy(cost), cost },
        network,
      );
      if (typeof result === 'object') return result;
      return { kind: result === true && usable ? 'match' : 'mismatch' };
    },

    needsRehash: (hash: string): boolean => getRounds(hash) !== cost,

    async close(): Promise<void> {
      closed = true;
      await (await pool)?.destroy();
    },
  };
}
export type Passwords = ReturnType<typeof createPasswords>;

/**
 * bcrypt ignores everything after 72 bytes or a NUL, so it gets a base64 digest. NFC, because systems encode the same
 * typed password differently (RFC 8265, section 4.2).
 */
function digestOf(password: string): string {
  return createHmac('sha384', DIGEST_KEY).update(password.normalize('NFC')).digest('base64');
}
