import { hash as bcrypt } from 'bcryptjs';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPasswords, type Passwords } from './hash.ts';

/** The minimum of bcrypt: nothing here depends on how long it takes. */
const COST = 4;

const onMalformedHash = vi.fn<() => void>();
const passwords = createPasswords({ cost: COST, threads: 1, onMalformedHash });
afterAll(() => passwords.close());
beforeEach(() => onMalformedHash.mockClear());

async function hashOf(password: string, by: Passwords = passwords): Promise<string> {
  const result = await by.hash(password);
  if (result.kind !== 'hashed') throw new Error('The queue is full.');
  return result.hash;
}

const matches = async (password: string, hash: string) => (await passwords.verify(password, hash)).kind;

describe('a password', () => {
  it('matches its own hash only', async () => {
    const hash = await hashOf('correct horse');
    expect(await matches('correct horse', hash)).toBe('match');
    for (const other of ['Correct horse', 'correct horse ', ' correct horse', 'correct horse\n', 'correct hors', ''])
      expect(await matches(other, hash)).toBe('mismatch');
    expect(onMalformedHash).not.toHaveBeenCalled();
  });

  it('is compared as a whole, beyond the 72 bytes that bcrypt reads', async () => {
    for (const length of [72, 80, 255, 256]) {
      const start = 'A'.repeat(length);
      const hash = await hashOf(`${start}x`);
      expect(await matches(`${start}x`, hash)).toBe('match');
      expect(await matches(`${start}y`, hash)).toBe('mismatch');
      expect(await matches(start, hash)).toBe('mismatch');
    }
  });

  it('matches however the system composes its letters', async () => {
    const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301'];
    expect(await matches(decomposed, await hashOf(composed))).toBe('match');
    expect(await matches(composed, await hashOf(decomposed))).toBe('match');
    expect(await matches('cafe', await hashOf(composed))).toBe('mismatch');
  });

  it('does not match a merely compatible spelling', async () => {
    expect(await matches('file name', await hashOf('\ufb01le name'))).toBe('mismatch');
  });

  it('may contain NUL, which does not end it', async () => {
    const hash = await hashOf('abc\0def');
    expect(await matches('abc\0def', hash)).toBe('match');
    expect(await matches('abc\0xyz', hash)).toBe('mismatch');
    expect(await matches('abc', hash)).toBe('mismatch');
    expect(await matches('\0', await hashOf(''))).toBe('mismatch');
  });

  it('matches nothing if it could not have been set', async () => {
    const hash = await hashOf('\ufffd'.repeat(8));
    expect(await matches('\ufffd'.repeat(8), hash)).toBe('match');
    expect(await matches('\ud800'.repeat(8), hash)).toBe('mismatch');
  });

  it('may consist of emoji, all of which count', async () => {
    const hash = await hashOf('😀'.repeat(64));
    expect(await matches('😀'.repeat(64), hash)).toBe('match');
    expect(await matches(`${'😀'.repeat(63)}😁`, hash)).toBe('mismatch');
  });
});

describe('a stored hash', () => {
  it('is bcrypt at the configured cost, with a new salt every time', async () => {
    const hashes = await Promise.all([hashOf('the same'), hashOf('the same')]);
    expect(hashes[0]).not.toBe(hashes[1]);
    for (const hash of hashes) expect(hash).toMatch(/^\$2b\$04\$.{53}$/);
  });

  it('does not match if it was made elsewhere, from the bare password', async () => {
    expect(await matches('the same', await bcrypt('the same', COST))).toBe('mismatch');
  });

  it('still matches if stored long ago: changing the format would lock everyone out', async () => {
    // bcrypt over base64(HMAC-SHA-384(key "latchkey/password/v1", password)).
    expect(await matches('correct horse', '$2b$04$zFwj2AJLgUu3H.zmQzJx9ONFplg1rfY9ywkYmYvuPpy5QFjBzz8y2')).toBe(
      'match',
    );
  });

  it('may have an older prefix of bcrypt', async () => {
    const hash = await hashOf('the same');
    for (const prefix of ['$2a', '$2y']) expect(await matches('the same', hash.replace('$2b', prefix))).toBe('match');
  });

  it.each([
    ['empty', ''],
    ['text', 'x'],
    ['too short', '$2b$12$short'],
    ['an impossible cost', `$2b$99$${'.'.repeat(53)}`],
    ['a cost below the minimum of bcrypt', `$2b$03$${'.'.repeat(53)}`],
    ['another algorithm', `$argon2id$${'.'.repeat(53)}`],
    ['a trailing newline', `$2b$04$${'.'.repeat(53)}\n`],
    ['a megabyte', '$2b$04$'.padEnd(1_000_000, '.')],
  ])('is a mismatch and reported if it is malformed: %s', async (_name, hash) => {
    expect(await matches('', hash)).toBe('mismatch');
    expect(onMalformedHash).toHaveBeenCalledOnce();
  });

  it('is a mismatch without a report if there is none', async () => {
    expect(await passwords.verify('any', undefined)).toEqual({ kind: 'mismatch' });
    expect(onMalformedHash).not.toHaveBeenCalled();
  });

  it('needs a rehash if its cost is not the configured one', async () => {
    const hash = await hashOf('the same');
    expect(passwords.needsRehash(hash)).toBe(false);
    expect(passwords.needsRehash(hash.replace('$04$', '$05$'))).toBe(true);
    expect(passwords.needsRehash(hash.replace('$04$', '$12$'))).toBe(true);
  });
});

describe('hashing', () => {
  it('does one task of the same cost whether or not there is an account', async () => {
    const busy = createPasswords({ cost: COST, threads: 1, maxQueue: 16, onMalformedHash });
    const hash = await hashOf('the same', busy);
    // Each fills the short queue, which it could not without doing work.
    for (const stored of [hash, undefined, 'malformed']) {
      const answers = await Promise.all(Array.from({ length: 40 }, () => busy.verify('wrong', stored)));
      expect(answers.some(({ kind }) => kind === 'overloaded')).toBe(true);
      expect(answers.some(({ kind }) => kind === 'mismatch')).toBe(true);
    }
    await busy.close();
  });

  it('works again after its threads failed to start', async () => {
    const unlucky = createPasswords({ cost: COST, threads: 1, onMalformedHash });
    vi.doMock('piscina', () => Promise.reject(new Error('No threads.')));
    await expect(unlucky.hash('any')).rejects.toThrow();
    vi.doUnmock('piscina');
    expect(await unlucky.hash('any')).toMatchObject({ kind: 'hashed' });
    await unlucky.close();
  });

  it('refuses immediately when the queue is full, and accepts work again once it has drained', async () => {
    const flooded = createPasswords({ cost: COST, threads: 1, maxQueue: 16, onMalformedHash });
    await hashOf('warm', flooded);
    const order: string[] = [];
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, network) => {
        const answer = await flooded.hash('one of many', String(network));
        order.push(answer.kind);
        return answer;
      }),
    );
    const overloaded = answers.filter(({ kind }) => kind === 'overloaded');
    expect(overloaded[0]).toEqual({ kind: 'overloaded', retryAfter: 5 });
    // Sixteen wait, besides the one in progress.
    expect(answers.length - overloaded.length).toBeGreaterThanOrEqual(16);
    expect(answers.length - overloaded.length).toBeLessThanOrEqual(18);
    expect(order.slice(0, overloaded.length)).toEqual(overloaded.map(() => 'overloaded'));
    expect((await flooded.hash('afterwards')).kind).toBe('hashed');
    await flooded.close();
  });

  it('does not block the main thread', async () => {
    const slow = createPasswords({ cost: 10, threads: 1, onMalformedHash });
    let turns = 0;
    const state = { hashed: false };
    const hashing = hashOf('slow', slow).then(() => (state.hashed = true));
    while (!state.hashed) {
      turns++;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    await hashing;
    expect(turns).toBeGreaterThan(100);
    await slow.close();
  });

  it('returns overloaded for tasks still queued when closed', async () => {
    const stopping = createPasswords({ cost: 10, threads: 1, onMalformedHash });
    const attempts = Array.from({ length: 5 }, (_, network) => stopping.hash('a good password', String(network)));
    await stopping.close();
    for (const { kind } of await Promise.all(attempts)) expect(kind).toMatch(/hashed|overloaded/);
  });

  it('does not let one network fill the queue', async () => {
    const passwords = createPasswords({
      cost: 4,
      threads: 1,
      maxQueue: 4,
      onMalformedHash: () => expect.unreachable(),
    });
    const attempts = ['a', 'a', 'a', 'a', 'b'].map((network) => passwords.hash('a good password', network));
    const kinds = (await Promise.all(attempts)).map(({ kind }) => kind);
    expect(kinds).toEqual(['hashed', 'hashed', 'hashed', 'overloaded', 'hashed']);
    await passwords.close();
  });
});
