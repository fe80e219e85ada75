import * as z from 'zod/mini';

/** The token of a mailed link. Whatever it is, the answer is one: `link_invalid`. */
export const linkToken = z.string('Open the link in the mail again.');

export const linkInput = z.strictObject({ token: linkToken });
