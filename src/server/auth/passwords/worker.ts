import { compare, getRounds, hash } from 'bcryptjs';

/** Runs in a thread of its own: bcryptjs is plain JavaScript, and a hash takes a good part of a second. */
export type PasswordTask =
  | { kind: 'hash'; digest: string; cost: number }
  | { kind: 'compare'; digest: string; hash: string; cost: number };

export default async function run(task: PasswordTask): Promise<string | boolean> {
  const { digest, cost } = task;
  if (task.kind === 'hash') return hash(digest, cost);
  if (await compare(digest, task.hash)) return true;
  // A hash from before the cost was raised takes less work than one for nobody, which would tell that there is somebody.
  // The work doubles with each step, so that of all costs below the present one makes up what is missing.
  for (let missing = getRounds(task.hash); missing < cost; missing++) await compare(digest, decoy(missing));
  return false;
}

/** A well-formed hash that no password has. */
export const decoy = (cost: number) => `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`;
