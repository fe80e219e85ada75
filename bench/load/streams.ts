import { get, type IncomingMessage } from 'node:http';

const AT_ONCE = 100;

export interface Streams extends Disposable {
  open(): number;
}

/** Opens event streams, each over its own connection. Resolves once each has received an event. */
export async function openStreams(
  port: number,
  path: string,
  headers: readonly Record<string, string>[],
): Promise<Streams> {
  const streams: IncomingMessage[] = [];
  let closed = 0;
  const openOne = (own: Record<string, string>) =>
    new Promise<void>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path, agent: false, headers: { ...own, accept: 'text/event-stream' } };
      const request = get(options, (response) => {
        if (response.statusCode !== 200) return reject(new Error(`A stream was answered ${response.statusCode}.`));
        streams.push(response);
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text = `${text}${chunk}`.slice(-1_000);
          if (text.includes('\nid: ') || text.startsWith('id: ')) resolve();
        });
        response.on('close', () => closed++);
        response.on('error', () => {});
      });
      request.on('error', reject);
    });
  for (let first = 0; first < headers.length; first += AT_ONCE)
    await Promise.all(headers.slice(first, first + AT_ONCE).map(openOne));
  return {
    open: () => streams.length - closed,
    [Symbol.dispose]() {
      for (const stream of streams) stream.destroy();
    },
  };
}
