import { readFileSync } from 'node:fs';
import { faultsOf, type Lockfile } from './lockfile.ts';

const file = new URL('../package-lock.json', import.meta.url);
const faults = faultsOf(JSON.parse(readFileSync(file, 'utf8')) as Lockfile);
for (const fault of faults) process.stderr.write(`package-lock.json: ${fault}\n`);
if (faults.length > 0) process.exitCode = 1;
