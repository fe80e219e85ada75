/** Rows removed in one step, so that purging never holds up a request. */
const BATCH = 200;

/** Removes at most `limit` rows. @returns how many */
export type PurgeStep = (limit: number) => Promise<number>;

/** Takes steps until nothing is left to remove, and lets requests in between. @returns how many rows */
export async function purge(step: PurgeStep): Promise<number> {
  let total = 0;
  for (let removed = BATCH; removed === BATCH;) {
    removed = await step(BATCH);
    total += removed;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  return total;
}
