import pino, { type DestinationStream, type Logger } from 'pino';
import type { Settings } from './env.ts';

export type { Logger };

const BUFFER_LIMIT_BYTES = 8 * 1024 * 1024;
/** How long a line waits for others, because a write for each costs as much as a tenth of a request. */
const LINES_WAIT_MS = 10;
const FINAL_FLUSH_TIMEOUT_MS = 1_000;

/** One event per line on standard output: JSON in production, readable text in development. */
export async function createLog({ logLevel, production }: Pick<Settings, 'logLevel' | 'production'>): Promise<Logger> {
  const options = { level: logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime };
  if (production) return pino(options, standardOutput());
  const { default: pretty } = await import('pino-pretty');
  return pino(
    options,
    pretty({ ignore: 'requestId,audit', singleLine: true, translateTime: 'SYS:HH:MM:ss', sync: true }),
  );
}

/** A hung log collector must not block the server, fill its memory, or keep it from exiting. */
function standardOutput(): DestinationStream {
  let endBy = Infinity;
  const output = pino.destination({
    dest: process.stdout.fd,
    sync: false,
    maxLength: BUFFER_LIMIT_BYTES,
    retryEAGAIN: () => performance.now() < endBy,
  });
  const write = output.write.bind(output);
  const flushSync = output.flushSync.bind(output);
  let waiting = '';
  function writeWaiting() {
    const lines = waiting;
    waiting = '';
    if (lines !== '') write(lines);
  }
  output.write = (line) => {
    if (waiting === '') setTimeout(writeWaiting, LINES_WAIT_MS);
    waiting += line;
    return true;
  };
  // Pino calls this after every fatal line and at exit, and would retry for as long as nothing reads.
  output.flushSync = () => {
    endBy = performance.now() + FINAL_FLUSH_TIMEOUT_MS;
    try {
      // Only queues the lines, or they would be written asynchronously, and what the pipe does not take at once be lost.
      Object.assign(output, { minLength: Infinity });
      writeWaiting();
      Object.assign(output, { minLength: 0 });
      flushSync();
    } catch {
    } finally {
      endBy = Infinity;
    }
  };
  return output;
}
