import { isDatabaseUnavailable } from './db/errors.ts';
import { StartupError } from './startup-error.ts';

/** Runs a script of package.json. Where it cannot do its work, the exit code is 1 and standard error says why. */
export async function runScript(script: () => Promise<string[]>): Promise<void> {
  try {
    process.stdout.write(`${(await script()).join('\n')}\n`);
  } catch (error) {
    process.stderr.write(`${explanationOf(error)}\n`);
    process.exitCode = 1;
  }
}

function explanationOf(error: unknown): string | undefined {
  const { message, stack } = error as NodeJS.ErrnoException;
  // First, because a database that cannot be opened may be the cause of one, which says more.
  if (error instanceof StartupError || isBadArgument(error)) return message;
  return isDatabaseUnavailable(error) ? 'The database is busy or away. Try again.' : stack;
}

const isBadArgument = (error: unknown) => (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS_') ?? false;
