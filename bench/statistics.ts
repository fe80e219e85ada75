export interface Summary {
  median: number;
  min: number;
  max: number;
}

/** @param sorted in ascending order */
const nearestRank = (sorted: readonly number[], percent: number): number =>
  sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;

export const percentile = (numbers: readonly number[], percent: number): number =>
  nearestRank(
    numbers.toSorted((a, b) => a - b),
    percent,
  );

export function summarize(numbers: readonly number[]): Summary {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median =
    sorted.length % 2 === 1
      ? sorted[middle]
      : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
  return { median: median ?? Number.NaN, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** Ratios within the same round, so that other work on the machine affects both sides alike. */
export const ratios = (numerators: readonly number[], denominators: readonly number[]): Summary =>
  summarize(numerators.map((numerator, round) => numerator / (denominators[round] ?? Number.NaN)));

/**
 * Measures several sides in turns.
 * @param options.warmUp number of discarded rounds
 * @returns the results of each side, by round
 */
export async function interleave<Side extends string, Result>(
  sides: Record<Side, () => Promise<Result>>,
  { rounds, warmUp = 1 }: { rounds: number; warmUp?: number },
): Promise<Record<Side, Result[]>> {
  const names = Object.keys(sides) as Side[];
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Side, Result[]>;
  for (let round = -warmUp; round < rounds; round++)
    // Every other round is reversed, so that no side always follows the same one.
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const result = await sides[name]();
      if (round >= 0) results[name].push(result);
    }
  return results;
}
