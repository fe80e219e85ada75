import { hash as bcrypt } from 'bcryptjs';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createPasswords, type Passwords } from './hash.ts';

// Threads and locks take their time on a machine that is busy with other tests.
vi.setConfig({ testTimeout: 30_000 });

/** bcrypt's least: what is tested here does not depend on how long it takes. */
const COST = 4;

const onBadHash = vi.fn<() => void>();
const passwords = createPasswords({ cost: COST, threads: 1, onBadHash });
afterAll(() => passwords.close());
beforeEach(() => onBadHash.mockClear());

async function hashOf(password: string, by: Passwords = passwords): Promise<string> {
  const result = await by.hash(password);
  if (result.kind !== 'hashed') throw new Error('The queue is full.');
  return result.hash;
}

const matches = async (password: string, hash: string) => (await passwords.verify(password, hash)).kind;

describe('a password', () => {
  test('matches its own hash and no other password does', async () => {
    const hash = await hashOf('correct horse');
    expect(await matches('correct horse', hash)).toBe('match');
    for (const other of ['Correct horse', 'correct horse ', ' correct horse', 'correct horse\n', 'correct hors', ''])
      expect(await matches(other, hash)).toBe('mismatch');
    expect(onBadHash).not.toHaveBeenCalled();
  });

  test('counts as a whole, far beyond the 72 bytes that bcrypt looks at', async () => {
    for (const length of [72, 80, 255, 256]) {
      const start = 'A'.repeat(length);
      const hash = await hashOf(`${start}x`);
      expect(await matches(`${start}x`, hash)).toBe('match');
      expect(await matches(`${start}y`, hash)).toBe('mismatch');
      expect(await matches(start, hash)).toBe('mismatch');
    }
  });

  test('is the same however the system composes its letters', async () => {
    const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301'];
    expect(await matches(decomposed, await hashOf(composed))).toBe('match');
    expect(await matches(composed, await hashOf(decomposed))).toBe('match');
    expect(await matches('cafe', await hashOf(composed))).toBe('mismatch');
  });

  test('is not the same as one that only looks compatible', async () => {
    expect(await matches('file name', await hashOf('\ufb01le name'))).toBe('mismatch');
  });

  test('may hold NUL, which ends nothing', async () => {
    const hash = await hashOf('abc\0def');
    expect(await matches('abc\0def', hash)).toBe('match');
    expect(await matches('abc\0xyz', hash)).toBe('mismatch');
    expect(await matches('abc', hash)).toBe('mismatch');
    expect(await matches('\0', await hashOf(''))).toBe('mismatch');
  });

  test('that cannot have been set matches nothing', async () => {
    const hash = await hashOf('\ufffd'.repeat(8));
    expect(await matches('\ufffd'.repeat(8), hash)).toBe('match');
    expect(await matches('\ud800'.repeat(8), hash)).toBe('mismatch');
  });

  test('may be of emoji, of which the last one counts too', async () => {
    const hash = await hashOf('😀'.repeat(64));
    expect(await matches('😀'.repeat(64), hash)).toBe('match');
    expect(await matches(`${'😀'.repeat(63)}😁`, hash)).toBe('mismatch');
  });
});

describe('a hash', () => {
  test('is bcrypt at the cost that was set, and another one every time', async () => {
    const hashes = await Promise.all([hashOf('the same'), hashOf('the same')]);
    expect(hashes[0]).not.toBe(hashes[1]);
    for (const hash of hashes) expect(hash).toMatch(/^\$2b\$04\$.{53}$/);
  });

  test('of the bare password, stolen elsewhere, matches nothing here', async () => {
    expect(await matches('the same', await bcrypt('the same', COST))).toBe('mismatch');
  });

  test('that was stored years ago still matches: changing how it is made would lock everybody out', async () => {
    // bcrypt over base64(HMAC-SHA-384(key "latchkey/password/v1", password)).
    expect(await matches('correct horse', '$2b$04$zFwj2AJLgUu3H.zmQzJx9ONFplg1rfY9ywkYmYvuPpy5QFjBzz8y2')).toBe(
      'match',
    );
  });

  test('with an older prefix of bcrypt is still one', async () => {
    const hash = await hashOf('the same');
    for (const prefix of ['$2a', '$2y']) expect(await matches('the same', hash.replace('$2b', prefix))).toBe('match');
  });

  test.each([
    ['empty', ''],
    ['text', 'x'],
    ['too short', '$2b$12$short'],
    ['of an impossible cost', `$2b$99$${'.'.repeat(53)}`],
    ['of a cost below what bcrypt has', `$2b$03$${'.'.repeat(53)}`],
    ['of another algorithm', `$argon2id$${'.'.repeat(53)}`],
    ['a line too long', `$2b$04$${'.'.repeat(53)}\n`],
    ['a megabyte', '$2b$04$'.padEnd(1_000_000, '.')],
  ])('that is none (%s) is a mismatch, and somebody is told', async (_name, hash) => {
    expect(await matches('', hash)).toBe('mismatch');
    expect(onBadHash).toHaveBeenCalledOnce();
  });

  test('of nobody is a mismatch, and nothing to tell', async () => {
    expect(await passwords.verify('any', undefined)).toEqual({ kind: 'mismatch' });
    expect(onBadHash).not.toHaveBeenCalled();
  });

  test('made with another cost is to be made anew', async () => {
    const hash = await hashOf('the same');
    expect(passwords.needsRehash(hash)).toBe(false);
    expect(passwords.needsRehash(hash.replace('$04$', '$05$'))).toBe(true);
    expect(passwords.needsRehash(hash.replace('$04$', '$12$'))).toBe(true);
  });
});

test('whether there is an account or not, one task of the same cost is done', async () => {
  const busy = createPasswords({ cost: COST, threads: 1, maxQueue: 16, onBadHash });
  const hash = await hashOf('the same', busy);
  // Each takes a place in the queue, which is short; what does no work takes none.
  for (const stored of [hash, undefined, 'malformed']) {
    const answers = await Promise.all(Array.from({ length: 40 }, () => busy.verify('wrong', stored)));
    expect(answers.some(({ kind }) => kind === 'overloaded')).toBe(true);
    expect(answers.some(({ kind }) => kind === 'mismatch')).toBe(true);
  }
  await busy.close();
});

test('a full queue answers at once, does not grow, and takes work again once it has emptied', async () => {
  const flooded = createPasswords({ cost: COST, threads: 1, maxQueue: 16, onBadHash });
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
  // Sixteen wait, beside what the thread is at.
  expect(answers.length - overloaded.length).toBeGreaterThanOrEqual(16);
  expect(answers.length - overloaded.length).toBeLessThanOrEqual(18);
  expect(order.slice(0, overloaded.length)).toEqual(overloaded.map(() => 'overloaded'));
  expect((await flooded.hash('afterwards')).kind).toBe('hashed');
  await flooded.close();
});

test('hashing does not hold up the thread that answers everybody', async () => {
  const slow = createPasswords({ cost: 10, threads: 1, onBadHash });
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

test('who still waits when the server stops is told that it is busy', async () => {
  const stopping = createPasswords({ cost: 10, threads: 1, onBadHash });
  const attempts = Array.from({ length: 5 }, (_, network) => stopping.hash('a good password', String(network)));
  await stopping.close();
  for (const { kind } of await Promise.all(attempts)) expect(kind).toMatch(/hashed|overloaded/);
});

test('one network cannot take the whole queue', async () => {
  const passwords = createPasswords({ cost: 4, threads: 1, maxQueue: 4, onBadHash: () => expect.unreachable() });
  const attempts = ['a', 'a', 'a', 'a', 'b'].map((network) => passwords.hash('a good password', network));
  const kinds = (await Promise.all(attempts)).map(({ kind }) => kind);
  expect(kinds).toEqual(['hashed', 'hashed', 'hashed', 'overloaded', 'hashed']);
  await passwords.close();
});
