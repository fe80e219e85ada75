import { compare, getRounds, hash } from 'bcryptjs';

/** For a worker thread: bcryptjs is plain JavaScript, about a third of a second per hash at cost 12. */
export type PasswordTask =
  | { kind: 'hash'; digest: string; cost: number }
  | { kind: 'compare'; digest: string; hash: string; cost: number };

export default async function run(task: PasswordTask): Promise<string | boolean> {
  const { digest, cost } = task;
  if (task.kind === 'hash') return hash(digest, cost);
  if (await compare(digest, task.hash)) return true;
  // A hash from before the cost was raised takes less work than the decoy for an unknown account, which would reveal
  // that the account exists. Work doubles with each step, so one comparison per missing step makes up for it.
  for (let missing = getRounds(task.hash); missing < cost; missing++) await compare(digest, decoy(missing));
  return false;
}

export const decoy = (cost: number) => `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`;
