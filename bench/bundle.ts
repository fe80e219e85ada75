import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';

/** The owner of a source file, by its path: the first match counts. */
const OWNERS: [name: string, pattern: RegExp][] = [
  [
    'React, React DOM, react-router',
    /node_modules\/(react|react-dom|react-router|scheduler|cookie|set-cookie-parser)\//,
  ],
  ['TanStack Query, tRPC, EventSource', /node_modules\/(@tanstack|@trpc|eventsource|eventsource-parser)\//],
  ['zod, react-hook-form', /node_modules\/(zod|react-hook-form|@hookform)\//],
  ['other packages', /node_modules\//],
  ['session and refresh link', /src\/client\/api\/(session\/|refresh-link\.ts$)/],
  ['the rest of the app', /src\//],
];

/** What a first visit to the login page downloads, in bytes; the pages for members come later. */
export interface BundleSizes {
  /** Each file gzipped by itself. */
  scripts: number;
  styles: number;
  /** What is downloaded only when it is needed. */
  laterScripts: number;
  /** Bytes by owner: its share of the minified scripts, gzipped separately, so the sum is a little more than `scripts`. */
  shares: Record<string, number>;
}

/** Builds the client in memory as `npm run build` does, and attributes the bytes of a first visit by source map. */
export async function measureBundle(): Promise<BundleSizes> {
  const result = (await build({
    configFile: fileURLToPath(new URL('../vite.config.ts', import.meta.url)),
    logLevel: 'error',
    build: { write: false, sourcemap: 'hidden' },
  })) as Rolldown.RolldownOutput;
  const sizes: BundleSizes = { scripts: 0, styles: 0, laterScripts: 0, shares: {} };
  const texts: Record<string, string> = {};
  // With its entry the page names all that the entry imports statically.
  const page = result.output.find(({ fileName }) => fileName === 'index.html') as Rolldown.OutputAsset;
  for (const file of result.output) {
    if (file.type === 'chunk' && !String(page.source).includes(file.fileName)) {
      sizes.laterScripts += gzipSync(file.code).length;
    } else if (file.type === 'chunk') {
      sizes.scripts += gzipSync(file.code).length;
      for (const [owner, text] of Object.entries(sharesOf(file))) texts[owner] = (texts[owner] ?? '') + text;
    } else if (file.fileName.endsWith('.css')) sizes.styles += gzipSync(file.source).length;
  }
  for (const [owner] of OWNERS) if (texts[owner] !== undefined) sizes.shares[owner] = gzipSync(texts[owner]).length;
  return sizes;
}

/** Splits the text of a minified file by the owner of the source that each character comes from. */
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
