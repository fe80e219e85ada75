import { fuzz } from '../src/server/testing/fuzz.ts';
import { testWorld } from '../src/server/testing/world.ts';

/** Of each kind: calls, and bytes for the port. */
const RUNS = 50_000;

const began = performance.now();
await using world = await testWorld({ trustProxy: 1, logLevel: 'error' });
await fuzz(world, RUNS);
if (world.log.length > 0) throw new Error(`The server was surprised: ${world.log[0]}`);
const seconds = Math.round((performance.now() - began) / 1000);
process.stdout.write(`Fuzzed with ${2 * RUNS} inputs in ${seconds} s: no 500, no hang, no crash, no write.\n`);
