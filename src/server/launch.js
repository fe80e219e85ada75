// Plain JavaScript, so that an older Node gets far enough to explain what it needs. Before 22.18 it cannot load a .ts
// file; later versions would fail in a native module built for another version.
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
const required = Number(/\d+/.exec(engines.node)?.[0]);

if (Number.parseInt(process.versions.node) < required) {
  process.stderr.write(
    `Latchkey requires Node ${required} or later, but this is ${process.version}. ` +
      'A full `npm install` includes it: `npm run dev` and `npm start` then use that one.\n',
  );
  process.exitCode = 1;
} else {
  // Not in the temporary folder, Node's default, where another user could plant code for us to run. If the folder is
  // not writable, Node does without. Not `portable`: moved TypeScript would keep its old paths in stack traces.
  const directory = fileURLToPath(new URL('../../node_modules/.cache/latchkey', import.meta.url));
  module.enableCompileCache({ directory });
  const built = new URL('../../dist/server/main.js', import.meta.url);
  if (existsSync(built) && !process.argv.includes('--dev')) {
    // Errors name the files and lines of the source.
    module.setSourceMapsSupport(true);
    await import(built.href);
  } else {
    // Not static imports: an older Node lacks these hooks, and they must be in place before main.ts is resolved.
    await import('./db/drizzle-hook.js');
    await import('./main.ts');
  }
}
