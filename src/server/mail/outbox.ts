import { isDatabaseUnavailable } from '../db/errors.ts';
import type { Logger } from '../log.ts';
import type { Mailer, Sent } from './mailer.ts';
import type { OutboxRow, OutboxStore } from './outbox-store.ts';
import { render } from './render.ts';
import { describeMail, type MailedLink } from './templates.ts';

/** How many mails are sent at the same time. */
export const MAX_SENDING = 5;
/** How often to look for mail that is due again, and for that of servers that are gone. */
const LOOK_INTERVAL_MS = 5_000;
/**
 * A mail whose server was killed waits that long, and so does its reader. Renewed while the mail is being sent, so it need not
 * be longer than the slowest SMTP server, but must be longer than clocks of servers differ.
 */
export const LEASE_MS = 30_000;
const RENEW_INTERVAL_MS = LEASE_MS / 3;
/** Short, because somebody may be waiting for the mail. Doubled with each attempt. */
const FIRST_DELAY_MS = 15_000;
const MAX_DELAY_MS = 30 * 60_000;
const GIVE_UP_AFTER_MS = 2 * 24 * 60 * 60_000;
/**
 * At most, and at least a quarter of it. Work on a mail right after the answer, or at a known time, would show in the time of
 * whatever is asked next, and so tell whether there was a mail: whether an email has an account, for example.
 */
const DELAY_MS = 1_000;
/** How long stopping waits for the mails that are being sent. */
const STOP_TIMEOUT_MS = 5_000;

/** What happened to a mail: `dropped`, because nobody could use its link any more. */
type Outcome = Sent | { kind: 'dropped' };

/**
 * Delivers what is in the outbox, away from the requests that caused it. Nothing that matters is kept in memory: a server can
 * be killed at any time, and a mail that it was sending is then sent once more by whoever looks next, with the same
 * Message-ID. Servers that share an outbox do not send the same mail, because each leases what it sends.
 */
export function createOutbox(options: {
  store: OutboxStore;
  mailer: Mailer;
  /** @returns undefined where the link no longer works */
  linkFor: (linkId: string) => Promise<{ path: string; expiresAt: number } | undefined>;
  onGivenUp: (mail: Pick<OutboxRow, 'userId' | 'template'>, reason: string) => Promise<void>;
  log: Logger;
  clock: () => number;
  /** From 0 to 1. */
  random?: () => number;
}) {
  const { store, mailer, linkFor, onGivenUp, log, clock, random = Math.random } = options;
  let appUrl: string | undefined;
  let delayMs = 0;
  let delaying: NodeJS.Timeout | undefined;
  let looking: NodeJS.Timeout | undefined;
  const sending = new Set<Promise<void>>();
  let filling: Promise<void> | undefined;
  let woken = false;
  let stopped = false;

  /** Takes what is due for as long as there is some and a mail may be started. */
  async function fill(origin: string): Promise<void> {
    for (;;) {
      if (!woken || stopped) return;
      woken = false;
      const limit = MAX_SENDING - sending.size;
      // The end of each wakes it again.
      if (limit === 0) return;
      const now = clock();
      const rows = await store.claim({ now, leaseUntil: now + LEASE_MS, limit });
      for (const row of rows) {
        const sent: Promise<void> = deliver(row, origin).finally(() => {
          sending.delete(sent);
          look();
        });
        sending.add(sent);
      }
    }
  }

  function look(): void {
    woken = true;
    if (stopped || appUrl === undefined || filling !== undefined) return;
    filling = fill(appUrl)
      .catch((error: unknown) => log.error({ err: error }, 'Could not look for mail to send'))
      .finally(() => {
        filling = undefined;
        // By something written after the last look.
        if (woken) look();
      });
  }

  function wake(): void {
    if (delayMs === 0) return look();
    delaying ??= setTimeout(
      () => {
        delaying = undefined;
        look();
      },
      delayMs * (0.25 + 0.75 * random()),
    );
  }

  async function deliver(row: OutboxRow, origin: string): Promise<void> {
    try {
      await settle(row, await leased(row, attempt(row, origin)));
    } catch (error) {
      // The lease runs out, and the mail is due again.
      log.error({ err: error, mail: row.id, template: row.template }, 'Could not update the outbox');
    }
  }

  /** Renews the lease of a mail for as long as the attempt takes. */
  async function leased(row: OutboxRow, attempted: Promise<Outcome>): Promise<Outcome> {
    let renewed = Promise.resolve();
    const renewing = setInterval(() => {
      renewed = renewed
        .then(() => store.retryAt(row, clock() + LEASE_MS))
        // The lease has time left for the next renewal, and running out costs a second copy at worst.
        .catch((error: unknown) => log.error({ err: error, mail: row.id }, 'Could not renew the lease of a mail'));
    }, RENEW_INTERVAL_MS);
    try {
      return await attempted;
    } finally {
      clearInterval(renewing);
      // Or it could overtake the outcome, and undo it.
      await renewed;
    }
  }

  async function attempt(row: OutboxRow, origin: string): Promise<Outcome> {
    try {
      let link: MailedLink | undefined;
      if (row.linkId !== null) {
        const found = await linkFor(row.linkId);
        if (found === undefined) return { kind: 'dropped' };
        link = { url: `${origin}${found.path}`, expiresAt: found.expiresAt };
      }
      const content = describeMail(row, { link, appUrl: origin });
      // Written by a newer version of this server, which may still deliver it.
      if (content === undefined) return { kind: 'failed', reason: 'unknown template' };
      const { id, template, recipient: to, createdAt } = row;
      return await mailer.send({ id, template, to, ...render(content), date: new Date(createdAt) });
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error;
      log.error({ err: error, mail: row.id, template: row.template }, 'Preparing a mail failed');
      return { kind: 'failed', reason: 'internal error' };
    }
  }

  async function settle(row: OutboxRow, outcome: Outcome): Promise<void> {
    const { id, template, attempts, createdAt } = row;
    const mail = { mail: id, template, attempts };
    if (outcome.kind === 'sent' || outcome.kind === 'dropped') {
      await store.remove(id);
      log.info(mail, outcome.kind === 'sent' ? 'Mail sent' : 'Mail dropped: its link no longer works');
      return;
    }
    const now = clock();
    const giveUpAt = createdAt + GIVE_UP_AFTER_MS;
    if (outcome.kind === 'refused' || now >= giveUpAt) {
      // In this order: killed in between, the event is recorded twice, and never not at all.
      await onGivenUp(row, outcome.reason);
      await store.remove(id);
      log.warn({ ...mail, reason: outcome.reason }, 'Mail given up');
      return;
    }
    // At half to all of it, or mails that failed together would all come back together.
    const delay = Math.min(FIRST_DELAY_MS * 2 ** (attempts - 1), MAX_DELAY_MS) * (0.5 + random() / 2);
    const retryAt = Math.min(Math.round(now + delay), giveUpAt);
    await store.retryAt(row, retryAt);
    log.warn({ ...mail, reason: outcome.reason, retryAt: new Date(retryAt).toISOString() }, 'Mail not sent yet');
  }

  return {
    /** Looks for mail, a little later. Call it after the commit that has written some. */
    wake,

    /**
     * Starts to deliver.
     * @param origin of the app, for links
     * @param lookIntervalMs how often to look for what nobody calls `wake` for; 0 for never
     * @param maxDelayMs how long after `wake` at most
     */
    start(origin: string, lookIntervalMs = LOOK_INTERVAL_MS, maxDelayMs = DELAY_MS): void {
      appUrl = origin;
      delayMs = maxDelayMs;
      if (lookIntervalMs > 0) looking = setInterval(look, lookIntervalMs);
      look();
    },

    /** Resolves once everything that is due has been tried. */
    async settled(): Promise<void> {
      for (;;) {
        if (filling === undefined && sending.size === 0) return;
        await Promise.all([filling, ...sending]);
      }
    },

    /** Starts no more mails. */
    drain(): void {
      stopped = true;
      clearInterval(looking);
      clearTimeout(delaying);
    },

    /** Waits for the mails that are being sent, but not for long: what is broken off is tried again after the next start. */
    async [Symbol.asyncDispose](): Promise<void> {
      this.drain();
      const timeout = setTimeout(() => mailer.close(), STOP_TIMEOUT_MS);
      try {
        await this.settled();
      } finally {
        clearTimeout(timeout);
        mailer.close();
      }
    },
  };
}
export type Outbox = ReturnType<typeof createOutbox>;
