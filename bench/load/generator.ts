// Runs in its own process: answers each message of loads with their results, and exits with its parent.
import { setTimeout } from 'node:timers/promises';
import autocannon, { type Client, type Result } from 'autocannon';
import type { Load, LoadResult } from './load.ts';

const HTTP_OK = 200;
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
  // Split between connections: autocannon would have each of them send everything.
  const setupClient = (client: Client) => {
    const first = next++;
    const share = requests.filter((_, index) => index % connections === first % connections);
    // Cloned, because autocannon caches the serialized request in each object.
    client.setRequests(structuredClone(share.length > 0 ? share : requests));
  };
  const latenciesMs: Record<number, number[]> = {};
  let [began, ended] = [0, 0];
  let answers = 0;
  const done = Promise.withResolvers<Pick<Result, 'errors'>>();
  const options = {
    url: `http://127.0.0.1:${port}`,
    connections,
    duration: seconds,
    timeout: TIMEOUT_SECONDS,
    setupClient,
    ...(once === true && { amount: calls.length }),
    ...(rate !== undefined && { connectionRate: rate }),
  };
  // With a callback, it returns the instance instead of a promise.
  const instance = autocannon(options, (error, result) => (error ? done.reject(error) : done.resolve(result)));
  instance.on('response', (_client, status, _bytes, responseTimeMs) => {
    ended = performance.now();
    began ||= ended;
    (latenciesMs[status] ??= []).push(responseTimeMs);
    answers += 1;
    // Autocannon would notice at its next tick, up to a second later.
    if (once === true && answers === calls.length) done.resolve({ errors: 0 });
  });
  // With an amount, autocannon ignores the duration.
  const stop = globalThis.setTimeout(() => instance.stop(), seconds * 1000);
  const before = process.cpuUsage();
  const started = performance.now();
  const { errors } = await done.promise;
  clearTimeout(stop);
  const { user, system } = process.cpuUsage(before);
  if (errors > 0) throw new Error(`${errors} requests to ${calls[0]?.path} failed.`);
  const answered = latenciesMs[HTTP_OK]?.length ?? 0;
  return {
    // From first to last response: connecting, and waiting for autocannon to tick, are not the server's time.
    perSecond: answered < 2 ? answered / seconds : ((answered - 1) * 1000) / (ended - began),
    latenciesMs,
    generatorBusy: (user + system) / 1000 / (performance.now() - started),
  };
}

process.on('message', (loads: Load[]) => {
  void Promise.all(loads.map(run)).then((results) => process.send?.(results));
});
