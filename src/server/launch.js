// What the npm scripts run. Plain JavaScript, so that an older Node gets far enough to say what it needs: before 22.18 it
// cannot load a .ts file, and from there on it would fail in a native module that was built for another version.
import { readFileSync } from 'node:fs';
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
  // Keeps compiled code, and TypeScript without its types, for the next start. Not in the temporary folder, Node's default, where
  // another user could leave code for us to run. Where the folder cannot be written, Node does without. Not `portable`: moved
  // TypeScript would keep its old paths in stack traces.
  const directory = fileURLToPath(new URL('../../node_modules/.cache/latchkey', import.meta.url));
  module.enableCompileCache({ directory });
  // Both only now: an older Node has no such hooks, and they have to be there before the imports of main.ts are resolved.
  await import('./db/drizzle-hook.js');
  await import('./main.ts');
}
