/** Small, so that purging never delays a request noticeably. */
const BATCH_ROWS = 200;

/** Yields to requests between batches. @returns the total number of rows deleted */
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
