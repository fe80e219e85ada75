import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { AuthStore } from '../store/auth-store.ts';

/** A session that has ended, or a user who has changed; a user's change concerns all of their sessions. */
export type Change = { sessionId: string } | { userId: string };

const EVERYTHING = 'everything';
/** Streams look in groups: a process that woke up for each would spend half of the time on waking up. */
const GROUPS = 100;
const groupEvent = (group: number) => `group ${group}`;
const eventOf = (change: Change) => ('sessionId' in change ? `session ${change.sessionId}` : `user ${change.userId}`);

/**
 * Tells the streams of this process that something has changed. A notification carries no data and is no proof: whoever gets
 * one asks the database. One too many does no harm, and one that is missed only costs time, because every stream is told to
 * look once in an interval anyway.
 * @param lookIntervalMs how often each stream is told to look
 */
export function createNotifications(lookIntervalMs: number) {
  const emitter = new EventEmitter();
  emitter.setMaxListeners(0);
  let next = 0;
  const looking = setInterval(() => {
    emitter.emit(groupEvent(next));
    next = (next + 1) % GROUPS;
  }, lookIntervalMs / GROUPS).unref();
  return {
    /** Call it after the commit: whoever gets the notification reads at once. */
    publish: (change: Change): void => void emitter.emit(eventOf(change)),

    /** Notifies every subscriber: anything may have changed. */
    publishEverything: (): void => void emitter.emit(EVERYTHING),

    /** @returns what cancels it, with `using` */
    subscribe({ sessionId, userId }: { sessionId: string; userId: string }, listener: () => void): Disposable {
      // At random, or all pages that reconnect after a restart would look at the same time from then on.
      const group = groupEvent(randomInt(GROUPS));
      const events = [eventOf({ sessionId }), eventOf({ userId }), EVERYTHING, group];
      for (const event of events) emitter.on(event, listener);
      return {
        [Symbol.dispose]() {
          for (const event of events) emitter.off(event, listener);
        },
      };
    },

    [Symbol.dispose]: () => clearInterval(looking),
  };
}
export type Notifications = ReturnType<typeof createNotifications>;

/** The verbs that change nothing that a stream shows. Naming them makes the compiler ask about each new verb. */
type Silent =
  | 'createAccountWithLink'
  | 'findTaken'
  | 'findAccountByEmail'
  | 'findAccount'
  | 'createLink'
  | 'findLink'
  | 'purgeLinks'
  | 'replacePasswordHash'
  | 'liveSessions'
  | 'sessionsOf'
  | 'linksOf'
  | 'mailsOf'
  | 'setAuthenticatedAt'
  | 'purgeSessions'
  | 'ping';

/** A store that publishes what its verbs have changed. */
export function publishing(store: AuthStore, { publish }: Pick<Notifications, 'publish'>): AuthStore {
  const silent: Pick<AuthStore, Silent> = store;
  return {
    ...silent,

    async createAccount(account, first, link) {
      const created = await store.createAccount(account, first, link);
      if (created.kind === 'created' && created.replaced && first?.replacing !== undefined)
        publish({ sessionId: first.replacing });
      return created;
    },

    async createSession(session, account) {
      const created = await store.createSession(session, account);
      if (created.kind === 'created' && created.replaced && session.replacing !== undefined)
        publish({ sessionId: session.replacing });
      return created;
    },

    async changeAccount(change) {
      const changed = await store.changeAccount(change);
      if (changed.kind !== 'changed') return changed;
      for (const sessionId of changed.endedSessions) publish({ sessionId });
      if (change.set !== undefined) publish({ userId: change.userId });
      return changed;
    },

    async redeem(claims, now, policy) {
      const redeemed = await store.redeem(claims, now, policy);
      if (redeemed.kind === 'ended' && redeemed.byThisCall) publish({ sessionId: claims.sessionId });
      return redeemed;
    },

    async authenticate(claims, now, policy) {
      const authenticated = await store.authenticate(claims, now, policy);
      if (authenticated.kind === 'ended' && authenticated.byThisCall) publish({ sessionId: claims.sessionId });
      return authenticated;
    },

    async endSession(id, reason, now) {
      const ended = await store.endSession(id, reason, now);
      if (ended) publish({ sessionId: id });
      return ended;
    },
  };
}
