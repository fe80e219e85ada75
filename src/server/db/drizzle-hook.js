// Preloaded, so plain JavaScript that imports nothing but Node. For every import between two files of drizzle-orm, Node parses
// drizzle-orm's package.json again, which is 179 KB long (https://github.com/nodejs/node/issues/58126): a second at start, and
// 190 MB. Node only wants to know whether the files are ES modules, so this answers that they are.
// drizzle-hook.test.ts fails once Node no longer needs it.
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, nextResolve) {
    const { parentURL } = context;
    // Not the .cjs files, which drizzle-kit requires.
    if (parentURL?.includes('/node_modules/drizzle-orm/') && /^\.\.?\/.*\.js$/.test(specifier))
      return { url: new URL(specifier, parentURL).href, format: 'module', shortCircuit: true };
    return nextResolve(specifier, context);
  },
});
