import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest';
import { DatabaseUnavailable } from './db/errors.ts';
import { runScript } from './script.ts';
import { StartupError } from './startup-error.ts';

let printed: MockInstance<typeof process.stderr.write>;
beforeEach(() => {
  printed = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(() => {
  printed.mockRestore();
  process.exitCode = undefined;
});

describe('a script that fails', () => {
  it.each([
    [
      'as expected',
      new StartupError('Check DATABASE_URL.', { cause: new DatabaseUnavailable('gone') }),
      'Check DATABASE_URL.\n',
    ],
    // Regression: it printed a stack trace.
    [
      'because the database is busy',
      new Error('Failed query', { cause: new DatabaseUnavailable('locked') }),
      'The database is busy or away. Try again.\n',
    ],
    ['unexpectedly', new Error('oops'), expect.stringMatching(/^Error: oops\n +at .*\n/)],
  ])('%s exits with 1 and says why', async (_case, error, text) => {
    await runScript(async () => {
      throw error;
    });
    expect(printed.mock.calls).toEqual([[text]]);
    expect(process.exitCode).toBe(1);
  });
});
