import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';

/** By path; the first match counts. */
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

/** What a first visit to the login page downloads, in bytes. */
export interface BundleSizes {
  /** Files gzipped individually. */
  scripts: number;
  styles: number;
  /** Downloaded on demand. */
  laterScripts: number;
  /** Share of the minified scripts by owner. Gzipped separately, so the sum slightly exceeds `scripts`. */
  shares: Record<string, number>;
}

/** Builds the client in memory, and attributes the bytes of a first visit by source map. */
export async function measureBundle(): Promise<BundleSizes> {
  const result = (await build({
    configFile: fileURLToPath(new URL('../vite.config.ts', import.meta.url)),
    logLevel: 'error',
    build: { write: false, sourcemap: 'hidden' },
  })) as Rolldown.RolldownOutput;
  const sizes: BundleSizes = { scripts: 0, styles: 0, laterScripts: 0, shares: {} };
  const texts: Record<string, string> = {};
  // The page names its entry and everything that statically imports.
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

/** Splits minified code by the owner of each character. */
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
