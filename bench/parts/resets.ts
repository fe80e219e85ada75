import { SMTPServer } from 'smtp-server';
import type { AddressInfo } from 'node:net';
import { generate, latenciesOf } from '../load/load.ts';
import { emailOf, population } from '../population.ts';
import { milliseconds, withSpread, type Part } from '../results.ts';
import { startProduct } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

const ROUNDS = 20;
/** In a row, on one connection: so each also shows what the one before leaves to be done, such as sending the mail. */
const REQUESTS = 10;

/** Compares the time of asking for a reset for known and unknown emails, while the mails are sent. */
export const resets: Part = async () => {
  const sink = new SMTPServer({ authOptional: true, disabledCommands: ['STARTTLS'], onData: drain });
  await new Promise<void>((resolve) => {
    sink.listen(0, '127.0.0.1', resolve);
  });
  await using people = await population((ROUNDS + 1) * REQUESTS);
  const settings = {
    MAIL_URL: `smtp://127.0.0.1:${(sink.server.address() as AddressInfo).port}`,
    MAIL_FROM: 'bench@example.com',
    APP_URL: 'https://app.example.com',
    // So that each request comes from another network: they are limited by network.
    TRUST_PROXY: '1',
  };
  await using product = await startProduct({ ...people, settings });
  let number = 0;
  const ask = async (email: (number: number) => string) => {
    const calls = Array.from({ length: REQUESTS }, () => {
      const network = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
      const body = { email: email(number++) };
      return { path: '/trpc/passwordReset.request', body, headers: { 'x-forwarded-for': network } };
    });
    const [result] = await generate([{ port: product.port, calls, connections: 1, seconds: 10, once: true }]);
    return summarize(latenciesOf(result)).median;
  };
  let known = 0;
  const times = await interleave(
    { unknown: () => ask((count) => `nobody${count}@example.com`), known: () => ask(() => emailOf(known++)) },
    { rounds: ROUNDS },
  );
  await new Promise((resolve) => {
    sink.close(() => resolve(undefined));
  });
  return [
    {
      what: 'asking for a password reset: known email ÷ unknown email',
      reached: withSpread(ratios(times.known, times.unknown)),
      aim: '1',
      figures: `${milliseconds(summarize(times.known), 1)} ÷ ${milliseconds(summarize(times.unknown), 1)}`,
    },
  ];
};

function drain(stream: NodeJS.ReadableStream, _session: unknown, done: () => void): void {
  stream.on('end', done).resume();
}
