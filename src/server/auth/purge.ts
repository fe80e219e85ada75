/** Small, so that purging never delays a request noticeably. */
const BATCH_ROWS = 200;

/**
 * Yields to requests between batches.
 * @param deleteRows goes through at most `limit` rows, and answers how many it found: fewer, if there are no more
 * @returns the total number of rows found
 */
export async function purge(deleteRows: (limit: number) => Promise<number>): Promise<number> {
  let total = 0;
  for (let found = BATCH_ROWS; found === BATCH_ROWS;) {
    found = await deleteRows(BATCH_ROWS);
    total += found;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  return total;
}
