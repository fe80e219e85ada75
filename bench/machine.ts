import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import manifest from '../package.json' with { type: 'json' };
import { cores } from './servers/cores.ts';

const GIB = 1024 ** 3;

/** The environment of the run, as lines of Markdown. */
export async function describeRun(): Promise<string[]> {
  const peers = JSON.parse(await readFile(new URL('peers/package.json', import.meta.url), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const ours = { ...manifest.dependencies, ...manifest.devDependencies };
  const named = (versions: Record<string, string>, names: string[]) =>
    names.map((name) => `${name} ${versions[name]}`).join(', ');
  return [
    `- ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, Node ${process.versions.node}`,
    `- ${availableParallelism()} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / GIB)} GB of memory, ${process.platform} ${process.arch}`,
    cores === undefined
      ? '- Nothing was pinned: servers and load shared the cores, which evens out the differences.'
      : '- Server and load had a core each, except for the logins, which used all cores.',
    `- Product: ${named(ours, ['@trpc/server', 'express', 'better-sqlite3', 'drizzle-orm', 'jsonwebtoken', 'bcryptjs'])}`,
    `- Tutorial's stack: ${named(peers.dependencies, ['express', 'helmet', 'morgan', 'jsonwebtoken', 'bcryptjs', 'better-sqlite3'])}`,
    `- Better Auth: ${named(peers.dependencies, ['better-auth', 'better-sqlite3'])}`,
    `- Load: ${named(ours, ['autocannon'])}`,
  ];
}
