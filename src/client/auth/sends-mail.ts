import { pageFact } from '../api/page-facts.ts';

/** Whether the server sends mail. What needs mail is hidden where it does not. */
export const sendsMail = pageFact('mail') !== undefined;
