import { createRequire } from 'node:module';
import type * as LanguageCommon from '@zxcvbn-ts/language-common';
import { newPassword, ownNameProblem } from '../../../shared/auth.ts';

let common: ReadonlySet<string> | undefined;

/** About fifty thousand, lower-cased (NIST SP 800-63B-4, section 3.1.1.2). Loaded for the first password that is set. */
function commonPasswords(): ReadonlySet<string> {
  if (common !== undefined) return common;
  const require = createRequire(import.meta.url);
  const { dictionary } = require('@zxcvbn-ts/language-common') as typeof LanguageCommon;
  return (common = new Set(dictionary['passwords-common']));
}

/** Longer patterns are not among the first that an attacker tries. In characters. */
const PATTERN_MAX_LENGTH = 12;
const RUNS = ['abcdefghijklmnopqrstuvwxyz', '01234567890123456789'].flatMap((run) => [
  run,
  Array.from(run).toReversed().join(''),
]);

/** Whether a password, in any case, is among the first that an attacker would try. */
function isCommon(password: string): boolean {
  const lowered = password.normalize('NFC').toLowerCase();
  return commonPasswords().has(lowered) || isPattern(lowered);
}

/** `abcdefgh`, `87654321`, `11111111`, `abcabcabc`: not in the list, because zxcvbn detects them by other means. */
function isPattern(text: string): boolean {
  if (text.length > PATTERN_MAX_LENGTH || !/^[a-z0-9]+$/.test(text)) return false;
  return /^(.{1,4})\1+$/.test(text) || RUNS.some((run) => run.includes(text));
}

/**
 * Every rule for a password that is being set, by registering or by changing it.
 * @param owner whose password it will be
 * @param minLength in code points after NFC
 * @returns the problems, in words for the user; empty if the password may be set
 */
export function passwordProblems(
  password: string,
  owner: { username: string; email: string },
  minLength: number,
): string[] {
  const parsed = newPassword(minLength).safeParse(password);
  if (!parsed.success) return parsed.error.issues.map(({ message }) => message);
  const ownName = ownNameProblem(password, owner);
  if (ownName !== undefined) return [ownName];
  return isCommon(password) ? ['Many people use this password. Choose another one.'] : [];
}
