export interface Lockfile {
  /** By folder: `node_modules/a/node_modules/b`; empty for the project itself. */
  packages: Record<string, LockedPackage>;
}

interface LockedPackage {
  version?: string;
  resolved?: string;
  integrity?: string;
  inBundle?: boolean;
  optionalDependencies?: Record<string, string>;
}

/** With two copies, a link would silently run against a different version than its client. */
const SINGLETONS = ['@trpc/client', '@trpc/server'];

/** @returns what would keep npm from installing the same everywhere, one sentence per problem */
export function findProblems({ packages }: Lockfile): string[] {
  const problems: string[] = [];
  for (const [path, { resolved, integrity, inBundle, optionalDependencies = {} }] of Object.entries(packages)) {
    // npm drops the packages of other platforms when it updates a lockfile next to existing node_modules
    // (npm/cli#4828), which breaks builds there.
    for (const name of Object.keys(optionalDependencies))
      if (!isLocked(name, path, packages))
        problems.push(`${path || 'the project'} needs ${name}, which is not locked.`);
    // A mirror URL would bind everyone to it. Without a URL, npm uses the configured registry.
    if (resolved !== undefined && /^[\w+]+:\/\//.test(resolved)) problems.push(`${path} is pinned to ${resolved}.`);
    if (path !== '' && integrity === undefined && !inBundle) problems.push(`${path} has no checksum.`);
  }
  for (const name of SINGLETONS) {
    const copies = Object.keys(packages).filter((path) => path.endsWith(`node_modules/${name}`));
    if (copies.length !== 1) problems.push(`${name} must be installed once, not ${copies.length} times.`);
  }
  return problems;
}

function isLocked(name: string, path: string, packages: Lockfile['packages']): boolean {
  if (Object.hasOwn(packages, `${path === '' ? '' : `${path}/`}node_modules/${name}`)) return true;
  if (path === '') return false;
  return isLocked(name, path.slice(0, Math.max(0, path.lastIndexOf('/node_modules/'))), packages);
}
