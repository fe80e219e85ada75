import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { closeGenerators } from './load/load.ts';
import { describeRun } from './machine.ts';
import { client } from './parts/client.ts';
import { expiredPage } from './parts/expired-page.ts';
import { growth } from './parts/growth.ts';
import { guesses } from './parts/guesses.ts';
import { logins } from './parts/logins.ts';
import { memory } from './parts/memory.ts';
import { people } from './parts/people.ts';
import { postgres } from './parts/postgres.ts';
import { reads } from './parts/reads.ts';
import { refresh } from './parts/refresh.ts';
import { resets } from './parts/resets.ts';
import { start } from './parts/start.ts';
import { streams } from './parts/streams.ts';
import { toTable, type Part, type Row } from './results.ts';

const RESULTS = new URL('RESULTS.md', import.meta.url);
/** Above this load, the machine is busy with something else. */
const CALM_LOAD = 0.5;

const parts: Record<string, Part> = {
  reads,
  refresh,
  growth,
  postgres,
  people,
  logins,
  guesses,
  resets,
  start,
  memory,
  streams,
  client,
  'expired-page': expiredPage,
};

/** A run takes minutes, so a failed part does not stop the others. */
function failed(name: string, error: unknown): Row[] {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
  return [{ what: name, reached: 'failed' }];
}

const print = (text: string) => void process.stdout.write(`${text}\n`);

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !Object.hasOwn(parts, name));
if (unknown.length > 0) {
  process.stderr.write(`No such part: ${unknown.join(', ')}. Choose from ${Object.keys(parts).join(', ')}.\n`);
  process.exit(1);
}
if (['client/index.html', 'server/main.js'].some((path) => !existsSync(new URL(`../dist/${path}`, import.meta.url))))
  throw new Error('The product has not been built. Run `npm run bench`, which builds it.');

const [busyBefore = 0] = loadavg();
const header = await describeRun();
if (busyBefore > CALM_LOAD) header.push(`- The machine was busy at the start: its load was ${busyBefore.toFixed(1)}.`);
print(header.join('\n'));

const began = performance.now();
const rows: Row[] = [];
for (const [name, measure] of Object.entries(parts).filter(([name]) => chosen.length === 0 || chosen.includes(name))) {
  const partBegan = performance.now();
  const found = await measure().catch((error: unknown) => failed(name, error));
  rows.push(...found);
  print(`\n${name}, ${Math.round((performance.now() - partBegan) / 1000)} s\n\n${toTable(found)}`);
}
closeGenerators();
const minutes = ((performance.now() - began) / 60_000).toFixed(1);

// Only a full run is written, so that all figures in the file are comparable.
if (chosen.length === 0) {
  const text = `# Results of the bench

Written by \`npm run bench\`, in ${minutes} minutes. Only the ratios carry over to other machines: both sides were measured in alternation.
Each figure is the median of several rounds, with the lowest and highest in parentheses.

${header.join('\n')}

${toTable(rows)}
`;
  await writeFile(RESULTS, text);
  print(`\nWrote bench/RESULTS.md after ${minutes} minutes.`);
}
