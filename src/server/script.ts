import { StartupError } from './startup-error.ts';

/** Runs a script of package.json. Where it cannot do its work, the exit code is 1 and standard error says why. */
export async function runScript(script: () => Promise<string[]>): Promise<void> {
  try {
    process.stdout.write(`${(await script()).join('\n')}\n`);
  } catch (error) {
    const { message, stack } = error as NodeJS.ErrnoException;
    const expected = error instanceof StartupError || isBadArgument(error);
    process.stderr.write(`${expected ? message : stack}\n`);
    process.exitCode = 1;
  }
}

const isBadArgument = (error: unknown) => (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS_') ?? false;
