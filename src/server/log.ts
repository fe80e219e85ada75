import pino, { type DestinationStream, type Logger } from 'pino';
import type { Settings } from './env.ts';

export type { Logger };

/** How much may be buffered while nobody reads the log. Beyond it, lines are dropped. */
const BUFFER_LIMIT_BYTES = 8 * 1024 * 1024;
/** How long to try to write the last lines before the process exits. */
const FINAL_FLUSH_TIMEOUT_MS = 1_000;

/** Logs one event per line to standard output: JSON in production, readable text in development. */
export async function createLog({ logLevel, production }: Pick<Settings, 'logLevel' | 'production'>): Promise<Logger> {
  const options = { level: logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime };
  if (production) return pino(options, standardOutput());
  // Not installed in production.
  const { default: pretty } = await import('pino-pretty');
  return pino(
    options,
    pretty({ ignore: 'requestId,audit', singleLine: true, translateTime: 'SYS:HH:MM:ss', sync: true }),
  );
}

/** A log collector that hangs must not block the server, fill its memory, or keep it from exiting. */
function standardOutput(): DestinationStream {
  let endBy = Infinity;
  const output = pino.destination({
    dest: process.stdout.fd,
    sync: false,
    maxLength: BUFFER_LIMIT_BYTES,
    retryEAGAIN: () => performance.now() < endBy,
  });
  const flushSync = output.flushSync.bind(output);
  // Pino calls it after every fatal line and at exit. By itself it would retry for as long as nobody reads.
  output.flushSync = () => {
    endBy = performance.now() + FINAL_FLUSH_TIMEOUT_MS;
    try {
      flushSync();
    } catch {
      // The log itself cannot be written, so there is nowhere to report it.
    } finally {
      endBy = Infinity;
    }
  };
  return output;
}
