import type { LinkPurpose } from '../auth/links.ts';
import type { Template } from '../mail/mails.ts';
import type { World } from './world.ts';

const TEMPLATES: Record<LinkPurpose, Template> = {
  registration: 'verify-email',
  'email-verification': 'verify-email',
  'email-change': 'confirm-email',
  'password-reset': 'reset-password',
};

/** What has been mailed so far, by template and address, the first first. */
export async function mails(world: World): Promise<{ template: string; to: string }[]> {
  await world.outbox.settled();
  return world.outbox.mails().map(({ template, to }) => ({ template, to }));
}

/** The links of a purpose that have been mailed to an address, the first first. */
export async function mailedLinks(world: World, purpose: LinkPurpose, to: string): Promise<string[]> {
  await world.outbox.settled();
  return world.outbox
    .mails()
    .flatMap((mail) => (mail.template === TEMPLATES[purpose] && mail.to === to ? (mail.link ?? []) : []));
}

export const tokenOf = (link: string): string => link.replace(/^.*#token=/, '');

/** The token of the last such link. @throws Error if there is none */
export async function mailedToken(world: World, purpose: LinkPurpose, to: string): Promise<string> {
  const link = (await mailedLinks(world, purpose, to)).at(-1);
  if (link === undefined) throw new Error(`No link for ${purpose} has been mailed to ${to}`);
  return tokenOf(link);
}

/** Everything that the database contains, as one text. */
export async function dump(world: World): Promise<string> {
  // Delivering changes the outbox.
  await world.outbox.settled();
  const tables = ['users', 'sessions', 'links', 'outbox', 'rate_limits', 'audit_events'];
  const rows = await Promise.all(tables.map((table) => world.sql(`select * from ${table}`)));
  return JSON.stringify(rows);
}
