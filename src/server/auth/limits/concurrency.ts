/**
 * Counts what is under way for each key, at most `most` at once.
 * @returns `enter` gives a place to dispose of, or undefined where there is none left
 */
export function concurrency(most: number) {
  const counts = new Map<string, number>();
  return {
    enter(key: string): Disposable | undefined {
      const count = counts.get(key) ?? 0;
      if (count >= most) return undefined;
      counts.set(key, count + 1);
      return {
        [Symbol.dispose]() {
          const left = (counts.get(key) ?? 1) - 1;
          if (left === 0) counts.delete(key);
          else counts.set(key, left);
        },
      };
    },
  };
}
