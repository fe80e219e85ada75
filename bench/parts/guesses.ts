import { generate } from '../load/load.ts';
import { emailOf, hashOf, PASSWORD, population } from '../population.ts';
import { milliseconds, withSpread, type Part } from '../results.ts';
import { startProduct } from '../servers/stacks.ts';
import { interleave, ratios, summarize } from '../statistics.ts';

/** The lowest allowed, which makes a difference proportionally larger. */
const COST = 10;
/** Each for another account, because accounts are throttled after ten wrong passwords; addresses after 100. */
const GUESSES = 20;
const UNAUTHORIZED = 401;

/** Compares the time of a refused login for known and unknown emails. */
export const guesses: Part = async () => {
  await using people = await population(2 * (GUESSES + 1), await hashOf(PASSWORD, COST));
  await using product = await startProduct({ ...people, settings: { BCRYPT_COST: String(COST) } });
  const guess = async (email: string) => {
    const calls = [{ path: '/trpc/auth.login', body: { email, password: 'not the password' } }];
    const options = { connections: 1, seconds: 10, once: true, allowed: [UNAUTHORIZED] };
    const [{ latenciesMs }] = await generate([{ port: product.port, calls, ...options }]);
    return latenciesMs[UNAUTHORIZED]?.[0] ?? Number.NaN;
  };
  let number = 0;
  const times = await interleave(
    { unknown: () => guess(`nobody${number++}@example.com`), known: () => guess(emailOf(number++)) },
    { rounds: GUESSES },
  );
  return [
    {
      what: 'refused login: known email ÷ unknown email',
      reached: withSpread(ratios(times.known, times.unknown)),
      aim: '1',
      figures: `${milliseconds(summarize(times.known), 1)} ÷ ${milliseconds(summarize(times.unknown), 1)}`,
    },
  ];
};
