import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

/** Half a megabyte: more than the operating system holds for a reader. */
const LINES = 5_000;

const SCRIPT = `
  import { createLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
  const log = await createLog({ production: true, logLevel: 'info' });
  for (let line = 0; line < ${LINES}; line += 1) log.info({ line }, 'A line that waits for others');
  log.fatal('The last line');
  process.exit();
`;

describe('the log', () => {
  it('is complete after a fatal line, even if it is more than a pipe holds', async () => {
    const args = ['--input-type=module', '--eval', SCRIPT];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: Infinity });
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(LINES + 1);
    expect(lines.at(-1)).toContain('The last line');
  });
});
