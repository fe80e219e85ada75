import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { install, startProcess, type Installation } from './testing/process.ts';

const CACHE = 'node_modules/.cache/latchkey';

/** Preloaded into the server: prints the imports that it left to Node by the time it listens. */
const PRELOAD = `
  import { getCompileCacheDir, registerHooks } from 'node:module';
  import { Server } from 'node:net';
  const insideDrizzle = [];
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier.startsWith('.') && context.parentURL?.includes('/drizzle-orm/')) insideDrizzle.push(specifier);
      return nextResolve(specifier, context);
    },
  });
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...args) {
    process.stdout.write(JSON.stringify({ insideDrizzle, cache: getCompileCacheDir(), stack: new Error().stack }) + '\\n');
    return listen.apply(this, args);
  };
`;

interface Printed {
  insideDrizzle: string[];
  cache: string | undefined;
  /** Where `listen` was called. */
  stack: string;
}

async function start(place: Installation): Promise<Printed> {
  await using server = await startProcess(place, {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PRELOAD)}`,
  });
  // What has been compiled is kept when the process exits by itself.
  server.signal('SIGTERM');
  await server.exited;
  return JSON.parse(/^\{"insideDrizzle".*$/m.exec(server.output())?.[0] ?? '') as Printed;
}

describe('a server run from its source', () => {
  it('has resolved every import inside drizzle-orm with the hook, which runs first', async () => {
    using place = install();
    expect((await start(place)).insideDrizzle).toEqual([]);
  });

  it('keeps compiled code in a folder of its own', async () => {
    using place = install();
    expect((await start(place)).cache).toContain(`${place.folder}/${CACHE}/`);
  });

  it('names its own files in stack traces, even if what it compiled has been moved', async () => {
    using built = install();
    await start(built);
    using moved = install();
    cpSync(join(built.folder, CACHE), join(moved.folder, CACHE), { recursive: true });
    expect((await start(moved)).stack).toContain(`${moved.folder}/src/server/main.ts`);
  });
});
