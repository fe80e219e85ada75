import pino, { type Logger } from 'pino';
import type { Settings } from './env.ts';

export type { Logger };

/** One event per line on standard output: as JSON, and in development for people to read. */
export async function createLog({ logLevel, production }: Pick<Settings, 'logLevel' | 'production'>): Promise<Logger> {
  const options = { level: logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime };
  if (production) return pino(options);
  // Loaded only here: production has none.
  const { default: pretty } = await import('pino-pretty');
  return pino(
    options,
    pretty({ ignore: 'requestId,audit', singleLine: true, translateTime: 'SYS:HH:MM:ss', sync: true }),
  );
}
