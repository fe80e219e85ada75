import { randomUUID } from 'node:crypto';
import type { Tokens } from './sessions/tokens.ts';
import type { AuthStore, LinkRow } from './store/auth-store.ts';

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

/** What a mailed link is for, how long it works, and the page that it opens. A feature adds its own here. */
const PURPOSES = {
  registration: { lifetimeMs: 3 * DAY_MS, page: '/verify-email' },
  'email-verification': { lifetimeMs: 3 * DAY_MS, page: '/verify-email' },
  'email-change': { lifetimeMs: DAY_MS, page: '/confirm-email' },
  'password-reset': { lifetimeMs: HOUR_MS, page: '/reset-password' },
} as const;
export type LinkPurpose = keyof typeof PURPOSES;

/** What the row of a link says: what it was made for, which whoever uses it compares with the account as it is by then. */
export interface LinkData {
  /** Of the account that is created once the link is used. */
  registration: { username: string; email: string; passwordHash: string };
  'email-verification': { email: string };
  /** `from`: the email that is to be replaced. */
  'email-change': { email: string; from: string };
  'password-reset': { email: string };
}
export type Link<Purpose extends LinkPurpose> = LinkRow & {
  userId: Purpose extends 'registration' ? null : string;
  data: LinkData[Purpose];
};

/** Where there is no account yet, the link is its own subject. */
const subjectOf = ({ id, userId }: Pick<LinkRow, 'id' | 'userId'>) => userId ?? id;

/**
 * Single-use links sent by mail. A link is a signed token that names a row: the row holds no part of the token, so a copy of
 * the database, or of the outbox, opens nothing.
 */
export function createLinks(options: { store: AuthStore; tokens: Tokens; clock: () => number }) {
  const { store, tokens, clock } = options;
  return {
    /** @returns a link for `AccountChange.newLink`, which replaces the last one of its purpose */
    create<Purpose extends LinkPurpose>(
      purpose: Purpose,
      userId: Link<Purpose>['userId'],
      data: LinkData[Purpose],
    ): Link<Purpose> {
      const now = clock();
      const expiresAt = now + PURPOSES[purpose].lifetimeMs;
      return { id: randomUUID(), purpose, userId, data: { ...data }, createdAt: now, expiresAt };
    },

    /**
     * Stands in for a link where there is no account, so that writing takes as long: it has expired, and it was never any
     * good, so its mail is not sent.
     */
    decoy(purpose: LinkPurpose): LinkRow {
      const now = clock();
      return { id: randomUUID(), purpose, userId: null, data: {}, createdAt: now, expiresAt: now };
    },

    /**
     * Reads a token that a page has sent. It is not used up yet: that takes `AccountChange.link`.
     * @returns undefined where the link is expired, used, replaced, of another purpose, or not ours
     */
    async find<Purpose extends LinkPurpose>(purpose: Purpose, token: string): Promise<Link<Purpose> | undefined> {
      const now = clock();
      const verified = tokens.verifyLink(token, now);
      if (verified.kind !== 'valid' || verified.claims.purpose !== purpose) return undefined;
      const link = await store.findLink(verified.claims.jti);
      const matches = link?.purpose === purpose && subjectOf(link) === verified.claims.sub && link.expiresAt > now;
      // Only `create` writes rows of a purpose.
      return matches ? (link as Link<Purpose>) : undefined;
    },

    /**
     * Called only when the mail is sent, so that the token is stored nowhere.
     * @returns the path of the page, with the token in the fragment, which browsers do not send to servers
     * @throws Error for a purpose that does not exist
     */
    path({ id, purpose, userId, createdAt, expiresAt }: LinkRow): string {
      if (!Object.hasOwn(PURPOSES, purpose)) throw new Error(`There are no links for ${purpose}`);
      const token = tokens.signLink({
        sub: subjectOf({ id, userId }),
        jti: id,
        purpose,
        iat: createdAt / 1000,
        exp: expiresAt / 1000,
      });
      return `${PURPOSES[purpose as LinkPurpose].page}#token=${token}`;
    },
  };
}
export type Links = ReturnType<typeof createLinks>;
