// Preloaded with `--import`: counts the statements better-sqlite3 runs and prints the number on standard error on
// SIGUSR2. Unprepared statements (PRAGMA, CREATE) are not counted.
import Database from 'better-sqlite3';

const METHODS = ['run', 'get', 'all', 'iterate'] as const;

let count = 0;
const database = new Database(':memory:');
const prototype = Object.getPrototypeOf(database.prepare('SELECT 1')) as Record<
  (typeof METHODS)[number],
  (...args: unknown[]) => unknown
>;
database.close();
for (const method of METHODS) {
  const original = prototype[method];
  prototype[method] = function (...args) {
    count++;
    return original.apply(this, args);
  };
}
process.on('SIGUSR2', () => process.stderr.write(`${count}\n`));
