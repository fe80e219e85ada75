import { compare, hash } from 'bcryptjs';

/** Runs in a thread of its own: bcryptjs is plain JavaScript, and a hash takes a good part of a second. */
export type PasswordTask =
  | { kind: 'hash'; digest: string; cost: number }
  | { kind: 'compare'; digest: string; hash: string };

export default async function run(task: PasswordTask): Promise<string | boolean> {
  if (task.kind === 'hash') return hash(task.digest, task.cost);
  return compare(task.digest, task.hash);
}
