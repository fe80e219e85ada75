import { readFileSync } from 'node:fs';
import { findProblems, type Lockfile } from './lockfile.ts';

const file = new URL('../package-lock.json', import.meta.url);
const problems = findProblems(JSON.parse(readFileSync(file, 'utf8')) as Lockfile);
for (const problem of problems) process.stderr.write(`package-lock.json: ${problem}\n`);
if (problems.length > 0) process.exitCode = 1;
