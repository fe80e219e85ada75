import { fuzz } from '../src/server/testing/fuzz.ts';
import { testWorld } from '../src/server/testing/world.ts';

/** Of calls, and again of raw byte streams. */
const RUNS = 50_000;

const began = performance.now();
await using world = await testWorld({ trustProxy: 1, logLevel: 'error' });
await fuzz(world, RUNS);
if (world.log.length > 0) throw new Error(`The server logged an unexpected error: ${world.log[0]}`);
const seconds = Math.round((performance.now() - began) / 1000);
process.stdout.write(`Fuzzed with ${2 * RUNS} inputs in ${seconds} s: no 500, hang, crash or write.\n`);
