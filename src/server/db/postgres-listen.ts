import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

const CONNECT_TIMEOUT_MS = 2_000;
/** How often the connection is tested. One that a firewall has forgotten looks like one on which nothing happens. */
const HEARTBEAT_INTERVAL_MS = 5_000;
const HEARTBEAT_TIMEOUT_MS = 2_000;
/** The pause before connecting again; doubles up to the longest. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Listens on a channel, on a connection of its own, and connects again whenever that is lost.
 * @param onMessage gets the payload of each notification, those sent by this server included
 * @param onReconnect called when it listens again: the notifications in between are lost
 * @returns once it listens, or has failed to for the first time, a function that closes the connection
 */
export async function listen(
  connectionString: string,
  channel: string,
  onMessage: (payload: string) => void,
  onReconnect: () => void,
): Promise<() => void> {
  const closing = new AbortController();
  const { signal } = closing;
  const firstAttempt = Promise.withResolvers<void>();

  /** Listens until the connection is lost. @returns false where it could not be made */
  async function hold(onListening: () => void): Promise<boolean> {
    const socket = new Socket();
    const client = new pg.Client({
      connectionString,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: HEARTBEAT_TIMEOUT_MS,
      keepAlive: true,
      // Destroyed to disconnect: `client.end` would wait for the other side, which may be gone.
      stream: () => socket,
    });
    const ended = new Promise((resolve) => {
      client.once('end', resolve);
    });
    const disconnect = () => void socket.destroy();
    // 'end' follows. Without a listener, the error would end the process.
    client.on('error', disconnect);
    client.on('notification', ({ payload }) => onMessage(payload ?? ''));
    signal.addEventListener('abort', disconnect);
    let heartbeat: NodeJS.Timeout | undefined;
    let listening = false;
    try {
      await client.connect();
      await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
      listening = true;
      onListening();
      heartbeat = setInterval(() => void client.query('SELECT 1').catch(disconnect), HEARTBEAT_INTERVAL_MS);
    } catch {
      // What is wrong with the database, the queries report.
      disconnect();
    }
    await ended;
    clearInterval(heartbeat);
    signal.removeEventListener('abort', disconnect);
    return listening;
  }

  async function keep(): Promise<void> {
    let onListening = firstAttempt.resolve;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      if (await hold(onListening)) pauseMs = FIRST_PAUSE_MS;
      firstAttempt.resolve();
      onListening = onReconnect;
      // Random, or all servers would connect to a database that has restarted in the same moment.
      await pause(pauseMs * (1 + Math.random()), undefined, { signal }).catch(() => {});
    }
  }

  void keep();
  await firstAttempt.promise;
  return () => closing.abort();
}
