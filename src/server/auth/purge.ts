/** Small, so that purging never delays a request noticeably. */
const BATCH_ROWS = 200;

/**
 * Yields to requests between batches.
 * @param purgeBatch handles at most `limit` rows and returns how many there were; fewer means that none are left
 * @returns the total number of rows handled
 */
export async function purge(purgeBatch: (limit: number) => Promise<number>): Promise<number> {
  let total = 0;
  for (let handled = BATCH_ROWS; handled === BATCH_ROWS;) {
    handled = await purgeBatch(BATCH_ROWS);
    total += handled;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  return total;
}
