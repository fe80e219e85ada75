import pino, { type DestinationStream, type Logger } from 'pino';
import type { Settings } from './env.ts';

export type { Logger };

/** What may wait for somebody to read it; past that, lines are dropped. In bytes. */
const BUFFER_LIMIT = 8 * 1024 * 1024;
/** How long the lines that may be the last ones are tried. In milliseconds. */
const LAST_LINES_TIMEOUT = 1_000;

/** One event per line on standard output: as JSON, and in development for people to read. */
export async function createLog({ logLevel, production }: Pick<Settings, 'logLevel' | 'production'>): Promise<Logger> {
  const options = { level: logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime };
  if (production) return pino(options, standardOutput());
  // Loaded only here: production has none.
  const { default: pretty } = await import('pino-pretty');
  return pino(
    options,
    pretty({ ignore: 'requestId,audit', singleLine: true, translateTime: 'SYS:HH:MM:ss', sync: true }),
  );
}

/** A collector of logs that hangs must not hold up the server, fill its memory, or keep it from ending. */
function standardOutput(): DestinationStream {
  let endBy = Infinity;
  const output = pino.destination({
    dest: process.stdout.fd,
    sync: false,
    maxLength: BUFFER_LIMIT,
    retryEAGAIN: () => performance.now() < endBy,
  });
  const flushSync = output.flushSync.bind(output);
  // Pino calls it with every fatal line and at the exit, and by itself it goes on for as long as nobody reads.
  output.flushSync = () => {
    endBy = performance.now() + LAST_LINES_TIMEOUT;
    try {
      flushSync();
    } catch {
      // Nobody reads it, so there is nobody to tell.
    } finally {
      endBy = Infinity;
    }
  };
  return output;
}
