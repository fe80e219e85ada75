import pino from 'pino';
import { describe, expect, it, vi } from 'vitest';
import type { Sent } from './mailer.ts';
import { createOutbox, LEASE_MS } from './outbox.ts';
import type { OutboxRow, OutboxStore } from './outbox-store.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** A store in memory, a mailer that answers as told, and a clock. */
function setUp(recipients: string[], answer: (to: string) => Sent | Promise<Sent>) {
  const clock = { now: 0 };
  const attempts: [to: string, at: number][] = [];
  const givenUp: string[] = [];
  const mailer = { closed: false };
  const rows = new Map<string, OutboxRow>(
    recipients.map((recipient) => [
      recipient,
      {
        id: recipient,
        userId: 'user',
        recipient,
        template: 'password-changed',
        data: { username: 'ada' },
        linkId: null,
        createdAt: 0,
        attempts: 0,
        nextAttemptAt: 0,
      },
    ]),
  );
  const store: OutboxStore = {
    async claim({ now, leaseUntil, limit }) {
      const due = [...rows.values()].filter(({ nextAttemptAt }) => nextAttemptAt <= now).slice(0, limit);
      for (const row of due) Object.assign(row, { nextAttemptAt: leaseUntil, attempts: row.attempts + 1 });
      return structuredClone(due);
    },
    async remove(id) {
      rows.delete(id);
    },
    async retryAt({ id }, at) {
      const row = rows.get(id);
      if (row !== undefined) row.nextAttemptAt = at;
    },
  };
  const outbox = createOutbox({
    store,
    mailer: {
      async send({ to }) {
        attempts.push([to, clock.now]);
        return answer(to);
      },
      close: () => void (mailer.closed = true),
    },
    linkFor: async () => undefined,
    onGivenUp: async (_mail, reason) => void givenUp.push(reason),
    log: pino({ level: 'silent' }),
    clock: () => clock.now,
    random: () => 1,
  });
  outbox.start('https://app.example.com', 0, 0);
  return { outbox, rows, attempts, givenUp, clock, mailer };
}

describe('The outbox', () => {
  it('tries again after growing pauses of at most half an hour, and gives up two days after the mail was written', async () => {
    const { outbox, rows, attempts, givenUp, clock } = setUp(['ada'], () => ({ kind: 'failed', reason: 'down' }));
    for (;;) {
      await outbox.settled();
      const row = rows.get('ada');
      if (row === undefined) break;
      clock.now = row.nextAttemptAt;
      outbox.wake();
    }
    const times = attempts.map(([, at]) => at);
    const pauses = times.slice(1).map((at, index) => at - times[index]!);
    expect(pauses.slice(0, 8)).toEqual([15, 30, 60, 120, 240, 480, 960, 1800].map((seconds) => seconds * SECOND_MS));
    expect(Math.max(...pauses)).toBe(30 * MINUTE_MS);
    expect(times.at(-1)).toBe(2 * DAY_MS);
    expect(givenUp).toEqual(['down']);
  });

  it('gives up at once on an address that is refused for good, and sends the others', async () => {
    const recipients = Array.from({ length: 20 }, (_, index) => `person${index}`);
    const { outbox, rows, attempts, givenUp } = setUp(recipients, (to) =>
      to === 'person3' ? { kind: 'refused', reason: 'no such user' } : { kind: 'sent' },
    );
    await outbox.settled();
    expect(attempts).toHaveLength(20);
    expect(givenUp).toEqual(['no such user']);
    expect(rows.size).toBe(0);
  });

  it('keeps its lease on a mail however long sending it takes, and no longer', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const answer = Promise.withResolvers<Sent>();
      const { outbox, rows, attempts, clock } = setUp(['ada'], () => answer.promise);
      const row = rows.get('ada')!;
      await expect.poll(() => attempts.length).toBe(1);
      for (let second = 0; second < 120; second += 1) {
        expect(row.nextAttemptAt).toBeGreaterThan(clock.now);
        expect(row.nextAttemptAt).toBeLessThanOrEqual(clock.now + LEASE_MS);
        clock.now += SECOND_MS;
        await vi.advanceTimersByTimeAsync(SECOND_MS);
      }
      answer.resolve({ kind: 'failed', reason: 'down' });
      await outbox.settled();
      await vi.advanceTimersByTimeAsync(MINUTE_MS);
      expect(row.nextAttemptAt).toBe(clock.now + 15 * SECOND_MS);
      expect(attempts).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('finishes what it is sending when it stops, and starts nothing more', async () => {
    const answers = Array.from({ length: 5 }, () => Promise.withResolvers<Sent>());
    let sending = 0;
    const started = Promise.withResolvers<void>();
    const recipients = Array.from({ length: 8 }, (_, index) => `person${index}`);
    const { outbox, rows, attempts, mailer } = setUp(recipients, () => {
      const answer = answers[sending++];
      if (sending === 5) started.resolve();
      return answer?.promise ?? { kind: 'sent' };
    });
    await started.promise;
    const stopped = outbox[Symbol.asyncDispose]();
    for (const { resolve } of answers) resolve({ kind: 'sent' });
    await stopped;
    expect(attempts).toHaveLength(5);
    expect([...rows.values()].map(({ recipient, attempts: tried }) => [recipient, tried])).toEqual([
      ['person5', 0],
      ['person6', 0],
      ['person7', 0],
    ]);
    expect(mailer.closed).toBe(true);
  });
});
