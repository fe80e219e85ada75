import type { AuditRow } from './audit.ts';
import { iso, isoOrNull } from './iso.ts';
import type { AuthStore } from './store/auth-store.ts';
import type { AuditStore } from './store/open.ts';

/** Small, so that reading many never delays other requests noticeably. */
const EVENTS_PER_READ = 500;

/**
 * What the kernel keeps about a person, chosen field by field: no hash of a password, and nothing that opens anything. Dates are
 * ISO 8601 in UTC.
 */
export function createPersonalData({
  store,
  auditStore,
}: {
  store: AuthStore;
  auditStore: Pick<AuditStore, 'ofUser'>;
}) {
  async function eventsOf(userId: string): Promise<AuditRow[]> {
    const events: AuditRow[] = [];
    for (;;) {
      const next = await auditStore.ofUser(userId, events.at(-1)?.id ?? 0, EVENTS_PER_READ);
      events.push(...next);
      if (next.length < EVENTS_PER_READ) return events;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }

  /** @returns undefined where the account does not exist */
  return async (userId: string) => {
    const account = await store.findAccount(userId);
    if (account === undefined) return undefined;
    const sessions = await store.sessionsOf(userId);
    const events = await eventsOf(userId);
    const links = await store.linksOf(userId);
    const mails = await store.mailsOf(userId);
    return {
      account: {
        id: account.id,
        username: account.username,
        email: account.email,
        emailVerifiedAt: isoOrNull(account.emailVerifiedAt),
        role: account.role,
        createdAt: iso(account.createdAt),
        passwordChangedAt: iso(account.passwordChangedAt),
        disabledAt: isoOrNull(account.disabledAt),
      },
      sessions: sessions.map((session) => ({
        id: session.id,
        userAgent: session.userAgent,
        ip: session.ip,
        remember: session.remember,
        createdAt: iso(session.createdAt),
        lastSeenAt: iso(session.lastSeenAt),
        authenticatedAt: iso(session.authenticatedAt),
        expiresAt: iso(session.expiresAt),
        endedAt: isoOrNull(session.endedAt),
        endReason: session.endReason,
      })),
      events: events.map(({ at, type, sessionId, actorId, detail, ...origin }) => {
        const byOther = actorId !== null && actorId !== userId;
        // Where an admin did it, their address and browser are data about the admin.
        const { ip, userAgent } = byOther ? { ip: null, userAgent: null } : origin;
        return { at: iso(at), type, byOther, sessionId, ip, userAgent, detail };
      }),
      links: links.map(({ purpose, data, createdAt, expiresAt }) => ({
        purpose,
        // Not all of `data`: a feature may keep something there that is not for reading.
        email: data.email ?? null,
        createdAt: iso(createdAt),
        expiresAt: iso(expiresAt),
      })),
      mails: mails.map(({ template, recipient, data, createdAt }) => ({
        template,
        recipient,
        data,
        createdAt: iso(createdAt),
      })),
    };
  };
}
