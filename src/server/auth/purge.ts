/** Rows deleted in one step. Small, so that purging never delays a request noticeably. */
const BATCH_ROWS = 200;

/**
 * Deletes batch by batch until nothing is left to delete, letting requests in between.
 * @param deleteRows deletes at most `limit` rows and returns how many it deleted
 * @returns the number of rows deleted in all
 */
export async function purge(deleteRows: (limit: number) => Promise<number>): Promise<number> {
  let total = 0;
  for (let deleted = BATCH_ROWS; deleted === BATCH_ROWS;) {
    deleted = await deleteRows(BATCH_ROWS);
    total += deleted;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  return total;
}
