import type { World } from './world.ts';

/** Writes a mail to the outbox that is not due for a long time, as if sending it had failed. */
export async function addWaitingMail(
  { sql, clock }: World,
  mail: { userId: string; template: string; recipient: string; linkId?: string },
): Promise<void> {
  const { userId, template, recipient, linkId } = mail;
  const link = linkId === undefined ? 'null' : `'${linkId}'`;
  await sql(
    `insert into outbox (id, user_id, recipient, template, data, link_id, created_at, attempts, next_attempt_at)
     values ('waiting ${template}', '${userId}', '${recipient}', '${template}', '{"username":"ada"}', ${link}, ${clock.now}, 1, ${Number.MAX_SAFE_INTEGER})`,
  );
}
