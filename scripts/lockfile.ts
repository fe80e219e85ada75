/** The part of package-lock.json (version 3) that is looked at. */
export interface Lockfile {
  /** By folder: `node_modules/a/node_modules/b`; '' is the project itself. */
  packages: Record<string, LockedPackage>;
}

interface LockedPackage {
  version?: string;
  resolved?: string;
  integrity?: string;
  inBundle?: boolean;
  optionalDependencies?: Record<string, string>;
}

/** What there may be one copy of only: with two, a link and its client would be of different makes, and nobody would say so. */
const ALONE = ['@trpc/client', '@trpc/server'];

/** What keeps a lockfile from giving everybody, on every platform and from every registry, the same packages. */
export function faultsOf({ packages }: Lockfile): string[] {
  const faults: string[] = [];
  for (const [path, { resolved, integrity, inBundle, optionalDependencies = {} }] of Object.entries(packages)) {
    // npm forgets those of other platforms when it updates a lockfile beside an old node_modules (npm/cli#4828), and then
    // the build fails for whoever is on another platform.
    for (const name of Object.keys(optionalDependencies))
      if (!isLocked(name, path, packages)) faults.push(`${path || 'the project'} wants ${name}, which is not locked.`);
    // A mirror's address would make everybody else depend on it. Without one, npm asks the registry that it is set to.
    if (resolved !== undefined && /^[\w+]+:\/\//.test(resolved)) faults.push(`${path} is bound to ${resolved}.`);
    if (path !== '' && integrity === undefined && !inBundle) faults.push(`${path} has no checksum.`);
  }
  for (const name of ALONE) {
    const copies = Object.keys(packages).filter((path) => path.endsWith(`node_modules/${name}`));
    if (copies.length !== 1) faults.push(`${name} is to be there once, not ${copies.length} times.`);
  }
  return faults;
}

/** Whether a package at `path` finds `name`: in its own folder, or in that of a package around it, as Node looks for it. */
function isLocked(name: string, path: string, packages: Lockfile['packages']): boolean {
  if (Object.hasOwn(packages, `${path === '' ? '' : `${path}/`}node_modules/${name}`)) return true;
  if (path === '') return false;
  return isLocked(name, path.slice(0, Math.max(0, path.lastIndexOf('/node_modules/'))), packages);
}
