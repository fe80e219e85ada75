import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import type { ServerProcess } from './process.ts';

const CONTROLLER = '/sys/fs/cgroup/cpu';
const PERIOD_US = 20_000;

/**
 * Limits each server to a share of a core, so that two have twice as much as one even where cores are too few. Needs version 1
 * of Linux control groups, and the rights of root.
 * @returns what removes the limits; undefined where they cannot be set
 */
export async function limitCpu(servers: ServerProcess[], share: number): Promise<AsyncDisposable | undefined> {
  await using groups = new AsyncDisposableStack();
  try {
    for (const { pid } of servers) {
      const folder = `${CONTROLLER}/latchkey-bench-${pid}`;
      await mkdir(folder);
      groups.defer(async () => {
        // Only a group without processes can be removed.
        await writeFile(`${CONTROLLER}/cgroup.procs`, String(pid));
        await rmdir(folder);
      });
      await writeFile(`${folder}/cpu.cfs_period_us`, String(PERIOD_US));
      await writeFile(`${folder}/cpu.cfs_quota_us`, String(PERIOD_US * share));
      await writeFile(`${folder}/cgroup.procs`, String(pid));
    }
  } catch {
    return undefined;
  }
  return groups.move();
}
