// Runs in a process of its own: it answers each message of loads with their results, and ends with its parent.
import { setTimeout } from 'node:timers/promises';
import autocannon, { type Client, type Result } from 'autocannon';
import type { Load, LoadResult } from './load.ts';

const HTTP_OK = 200;
/** Longer than any login waits for its turn. */
const TIMEOUT_SECONDS = 60;

async function run(load: Load): Promise<LoadResult> {
  const { port, calls, connections: wanted, seconds, once, rate, delaySeconds = 0 } = load;
  await setTimeout(delaySeconds * 1000);
  const connections = Math.min(wanted, once === true ? calls.length : wanted);
  const requests = calls.map(({ path, headers = {}, body }) => ({
    path,
    method: body === undefined ? ('GET' as const) : ('POST' as const),
    headers: { ...headers, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }));
  let next = 0;
  // Each connection has its own requests: autocannon would have every connection send all of them.
  const setupClient = (client: Client) => {
    const first = next++;
    const share = requests.filter((_, index) => index % connections === first % connections);
    // Cloned, because autocannon keeps the serialized request in each.
    client.setRequests(structuredClone(share.length > 0 ? share : requests));
  };
  const latenciesMs: Record<number, number[]> = {};
  let [began, ended] = [0, 0];
  const done = Promise.withResolvers<Result>();
  const options = {
    url: `http://127.0.0.1:${port}`,
    connections,
    duration: seconds,
    timeout: TIMEOUT_SECONDS,
    setupClient,
    ...(once === true && { amount: calls.length }),
    ...(rate !== undefined && { connectionRate: rate }),
  };
  // With a callback it returns the instance, with its events, instead of a promise.
  const instance = autocannon(options, (error, result) => (error ? done.reject(error) : done.resolve(result)));
  instance.on('response', (_client, status, _bytes, responseTimeMs) => {
    ended = performance.now();
    began ||= ended;
    (latenciesMs[status] ??= []).push(responseTimeMs);
  });
  // With an amount, autocannon does not look at the duration.
  const stop = globalThis.setTimeout(() => instance.stop(), seconds * 1000);
  const before = process.cpuUsage();
  const started = performance.now();
  const { errors } = await done.promise;
  clearTimeout(stop);
  const { user, system } = process.cpuUsage(before);
  if (errors > 0) throw new Error(`${errors} requests to ${calls[0]?.path} failed.`);
  const answered = latenciesMs[HTTP_OK]?.length ?? 0;
  return {
    // From the first answer to the last: connecting, and the wait for autocannon's next tick, are not the server's time.
    perSecond: answered < 2 ? answered / seconds : ((answered - 1) * 1000) / (ended - began),
    latenciesMs,
    generatorBusy: (user + system) / 1000 / (performance.now() - started),
  };
}

process.on('message', (loads: Load[]) => {
  void Promise.all(loads.map(run)).then((results) => process.send?.(results));
});
