import { PASSWORD_MIN_LENGTH } from '../../shared/auth.ts';
import { pageFact } from '../api/page-facts.ts';

/** The minimum that the server is set to, in code points; the shared minimum if the server did not say. */
export function passwordMinLength(timeline?: Pick<Performance, 'getEntriesByType'>): number {
  const length = Number(pageFact('password-min-length', timeline));
  return Number.isInteger(length) && length > PASSWORD_MIN_LENGTH ? length : PASSWORD_MIN_LENGTH;
}
