import pino, { type Logger } from 'pino';
import type { Settings } from './env.ts';

export type { Logger };

/** One line of JSON per event on standard output. */
export function createLog({ logLevel }: Pick<Settings, 'logLevel'>): Logger {
  return pino({ level: logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime });
}
