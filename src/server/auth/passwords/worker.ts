import { compare, getRounds, hash } from 'bcryptjs';

/** Runs in a worker thread: bcryptjs is plain JavaScript and takes about a third of a second at cost 12. */
export type PasswordTask =
  | { kind: 'hash'; digest: string; cost: number }
  | { kind: 'compare'; digest: string; hash: string; cost: number };

export default async function run(task: PasswordTask): Promise<string | boolean> {
  const { digest, cost } = task;
  if (task.kind === 'hash') return hash(digest, cost);
  if (await compare(digest, task.hash)) return true;
  // A hash from before the cost was raised takes less work than the decoy for an unknown account, which would reveal that
  // the account exists. Work doubles with each step of the cost, so one comparison at each cost in between makes up for it.
  for (let missing = getRounds(task.hash); missing < cost; missing++) await compare(digest, decoy(missing));
  return false;
}

/** A well-formed hash that matches no password. */
export const decoy = (cost: number) => `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`;
