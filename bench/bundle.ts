import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';

/** Whose code a source is, by its path; the first that fits. */
const OWNERS: [name: string, pattern: RegExp][] = [
  [
    'React, React DOM, react-router',
    /node_modules\/(react|react-dom|react-router|scheduler|cookie|set-cookie-parser)\//,
  ],
  ['TanStack Query, tRPC, EventSource', /node_modules\/(@tanstack|@trpc|eventsource|eventsource-parser)\//],
  ['zod, react-hook-form', /node_modules\/(zod|react-hook-form|@hookform)\//],
  ['other packages', /node_modules\//],
  ['the session and the refresh link', /src\/client\/api\/(session\/\w+|refresh-link)\.ts$/],
  ['all other code of ours', /src\//],
];

export interface BundleSizes {
  /** Bytes of all scripts and styles, each gzipped as it is served. */
  scripts: number;
  styles: number;
  /** By owner: bytes of its share of the minified scripts, gzipped by itself. They add up to a little more than the whole. */
  shares: Record<string, number>;
}

/** Builds the client as `npm run build` does, in memory, and takes it apart by its source maps. */
export async function measureBundle(): Promise<BundleSizes> {
  const result = (await build({
    configFile: fileURLToPath(new URL('../vite.config.ts', import.meta.url)),
    logLevel: 'error',
    build: { write: false, sourcemap: 'hidden' },
  })) as Rolldown.RolldownOutput;
  const sizes: BundleSizes = { scripts: 0, styles: 0, shares: {} };
  const texts: Record<string, string> = {};
  for (const file of result.output) {
    if (file.type === 'chunk') {
      sizes.scripts += gzipSync(file.code).length;
      for (const [owner, text] of Object.entries(sharesOf(file))) texts[owner] = (texts[owner] ?? '') + text;
    } else if (file.fileName.endsWith('.css')) sizes.styles += gzipSync(file.source).length;
  }
  for (const [owner] of OWNERS) if (texts[owner] !== undefined) sizes.shares[owner] = gzipSync(texts[owner]).length;
  return sizes;
}

/** The text of a minified file, shared out by whose source each character comes from. */
function sharesOf({ code, map }: Rolldown.OutputChunk): Record<string, string> {
  const texts: Record<string, string> = {};
  if (map === null) return texts;
  const sources = new SourceMap(JSON.parse(map.toString()) as ConstructorParameters<typeof SourceMap>[0]);
  for (const [number, line] of code.split('\n').entries()) {
    for (let column = 0; column < line.length; column++) {
      const entry = sources.findEntry(number, column);
      const path = 'originalSource' in entry ? entry.originalSource : undefined;
      const owner = path === undefined ? undefined : OWNERS.find(([, pattern]) => pattern.test(path))?.[0];
      if (owner !== undefined) texts[owner] = (texts[owner] ?? '') + line[column];
    }
  }
  return texts;
}
