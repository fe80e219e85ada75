/** How many calls may travel in one request: the client keeps to it, the server refuses more. */
export const BATCH_LIMIT = 20;
