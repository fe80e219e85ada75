import type { LinkPurpose } from '../auth/links.ts';
import type { World } from './world.ts';

interface Mail {
  template: string;
  recipient: string;
  data: Record<string, string>;
}

/** The mails in the outbox that somebody is to get, oldest first. */
export async function mails(world: World): Promise<Mail[]> {
  const rows = await world.sql("select * from outbox where recipient <> '' order by created_at, id");
  return rows.map(({ template, recipient, data }) => ({
    template: String(template),
    recipient: String(recipient),
    data: (typeof data === 'string' ? JSON.parse(data) : data) as Record<string, string>,
  }));
}

/** The tokens of the links of a purpose that have been mailed to an address and still work, one for each account. */
export async function mailedTokens(world: World, purpose: LinkPurpose, recipient: string): Promise<string[]> {
  const rows = await world.sql(
    `select links.* from links join outbox on outbox.link_id = links.id
       where purpose = '${purpose}' and recipient = '${recipient}'`,
  );
  return rows.map((row) => {
    const path = world.services.links.path({
      id: String(row.id),
      purpose,
      userId: String(row.user_id),
      data: {},
      createdAt: Number(row.created_at),
      expiresAt: Number(row.expires_at),
    });
    return path.replace(/^.*#token=/, '');
  });
}

/** @throws Error if there is no such link, or more than one */
export async function mailedToken(world: World, purpose: LinkPurpose, recipient: string): Promise<string> {
  const [token, ...others] = await mailedTokens(world, purpose, recipient);
  if (token === undefined || others.length > 0)
    throw new Error(`There are ${others.length} other links for ${purpose} to ${recipient}, or none`);
  return token;
}

/** Everything that the database contains, as one text. */
export async function dump(world: World): Promise<string> {
  const tables = ['users', 'sessions', 'links', 'outbox', 'rate_limits', 'audit_events'];
  const rows = await Promise.all(tables.map((table) => world.sql(`select * from ${table}`)));
  return JSON.stringify(rows);
}
