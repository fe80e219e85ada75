/** `enter` takes a slot, to be released with `using`; undefined if none is free. */
export function concurrency(limit: number) {
  const counts = new Map<string, number>();
  return {
    enter(key: string): Disposable | undefined {
      const count = counts.get(key) ?? 0;
      if (count >= limit) return undefined;
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
