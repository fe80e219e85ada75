import { createAccounts } from './auth/accounts.ts';
import { createAudit } from './auth/audit.ts';
import { createLinks } from './auth/links.ts';
import { createDevices } from './auth/limits/known-devices.ts';
import { createLimiters, createThrottle } from './auth/limits/throttle.ts';
import { createPasswords } from './auth/passwords/hash.ts';
import { createPersonalData } from './auth/personal-data.ts';
import { purge } from './auth/purge.ts';
import { tokenCookie } from './auth/sessions/cookies.ts';
import { reuseIntervalFor } from './auth/sessions/rotation.ts';
import { createNotifications, publishing, type Notifications } from './auth/sessions/notifications.ts';
import { createSessions } from './auth/sessions/sessions.ts';
import { createTokens } from './auth/sessions/tokens.ts';
import { openStores } from './auth/store/open.ts';
import type { Settings } from './env.ts';
import type { Logger } from './log.ts';
import type { Mail } from './mail/mail.ts';

/** How long a page may take to show a change of which its server was not notified. */
const LOOK_INTERVAL_MS = 10_000;

export type Services = Awaited<ReturnType<typeof createServices>>;

/**
 * Everything that procedures work with, created once per server.
 * @param clock milliseconds since the epoch
 * @param lookIntervalMs how often a stream of session events looks for changes of which it was not notified
 * @throws StartupError if the database cannot be opened
 */
export async function createServices(
  settings: Settings,
  log: Logger,
  clock: () => number = Date.now,
  lookIntervalMs = LOOK_INTERVAL_MS,
) {
  let mail: Mail | undefined;
  const stores = await openStores(settings.database, log, settings.mail && (() => mail?.outbox.wake()));
  const { auditStore, durableLimiter } = stores;
  const ownStreams = createNotifications(lookIntervalMs);
  const notifications: Notifications = {
    ...ownStreams,
    publish(change) {
      ownStreams.publish(change);
      void stores.tellOthers(change);
    },
  };
  await stores.onSessionChange((change) =>
    change === undefined ? ownStreams.publishEverything() : ownStreams.publish(change),
  );
  const store = publishing(stores.store, notifications);
  const tokens = createTokens(settings);
  const passwords = createPasswords({
    cost: settings.bcryptCost,
    onMalformedHash: () => log.error('A stored password hash is malformed; its owner cannot log in'),
  });
  const sessions = createSessions({
    store,
    tokens,
    policy: {
      refreshTokenLifetimeMs: settings.refreshTokenLifetimeMs,
      sessionMaxAgeMs: settings.sessionMaxAgeMs,
      reuseIntervalMs: reuseIntervalFor(settings.refreshTokenLifetimeMs),
    },
    accessTokenLifetimeMs: settings.accessTokenLifetimeMs,
    clock,
  });
  const links = createLinks({ store, tokens, clock });
  const audit = createAudit({ write: auditStore.write, log, clock });
  // Loaded only where mail is sent.
  mail =
    settings.mail &&
    (await (
      await import('./mail/mail.ts')
    ).openMail(settings.mail, {
      store: stores.outbox,
      async linkFor(linkId) {
        const link = await store.findLink(linkId);
        return link && link.expiresAt > clock() ? { path: links.path(link), expiresAt: link.expiresAt } : undefined;
      },
      onGivenUp: ({ userId, template }, reason) =>
        audit.record(undefined, {
          type: 'mail_given_up',
          userId: userId ?? undefined,
          detail: `${template}: ${reason}`,
        }),
      log,
      clock,
    }));
  let draining = false;

  return {
    settings,
    log,
    clock,
    /** Drizzle, for a feature's own tables. Always `await` its queries: PostgreSQL's are promises, and SQLite's need not be. */
    db: stores.db,
    accounts: createAccounts({
      store,
      passwords,
      passwordMinLength: settings.passwordMinLength,
      revealsEmail: settings.registrationRevealsEmail,
      clock,
    }),
    sessions,
    /** A feature that changes a user by itself publishes it here, so that their pages show it at once. */
    notifications,
    /** Signs and verifies tokens. A feature adds its kind in sessions/tokens.ts. */
    tokens,
    /** The refresh token's. */
    cookie: tokenCookie('refreshToken', settings),
    links,
    /** Undefined where no mail is sent. */
    mail,
    /** For what a feature changes of an account: everything that follows happens in one step. */
    changeAccount: store.changeAccount,
    findAccount: store.findAccount,
    findAccountByEmail: store.findAccountByEmail,
    createLink: store.createLink,
    createAccountWithLink: store.createAccountWithLink,
    /** What the kernel keeps about a person. */
    personalData: createPersonalData({ store, auditStore }),
    devices: createDevices({ cookie: tokenCookie('device', settings), tokens, clock }),
    /** The kernel's own limits. */
    throttle: createThrottle(durableLimiter),
    /** A feature's own limits: `limiter('invitations', { points: 20, durationSeconds: 3600 })(ctx.user.id)`. */
    limiter: createLimiters(durableLimiter),
    audit,
    /** What admins read. */
    people: stores.people,
    auditPage: auditStore.page,

    /**
     * Deletes expired sessions, links, audit events and counters.
     * @returns the number of rows deleted: none where another server is at it
     */
    async purge(): Promise<number> {
      const deleted = await stores.exclusively(
        async () =>
          (await sessions.purge()) +
          (await purge((limit) => store.purgeLinks(clock(), limit))) +
          (await purge((limit) => auditStore.purge(clock() - settings.auditRetentionMs, limit))) +
          (await purge((limit) => stores.purgeLimits(clock(), limit))),
      );
      return deleted ?? 0;
    },

    /** Whether to send requests here: the database answers, and the server is not draining. */
    async ready(): Promise<boolean> {
      if (draining) return false;
      try {
        await store.ping();
        return true;
      } catch (error) {
        log.error({ err: error }, 'The database is not available');
        return false;
      }
    },

    /** From here on `ready` answers false, and streams end. */
    drain(): void {
      draining = true;
      mail?.outbox.drain();
      notifications.publishEverything();
    },
    draining: () => draining,

    async [Symbol.asyncDispose](): Promise<void> {
      await mail?.outbox[Symbol.asyncDispose]();
      notifications[Symbol.dispose]();
      await passwords.close();
      await stores.close();
    },
  };
}
