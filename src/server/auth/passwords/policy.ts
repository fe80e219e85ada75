import { createRequire } from 'node:module';
import type * as LanguageCommon from '@zxcvbn-ts/language-common';
import { newPassword, ownNameProblem } from '../../../shared/auth.ts';

let common: ReadonlySet<string> | undefined;

/** About fifty thousand, lower-cased (NIST SP 800-63B-4, section 3.1.1.2). Loaded on first use. */
function commonPasswords(): ReadonlySet<string> {
  if (common !== undefined) return common;
  const require = createRequire(import.meta.url);
  const { dictionary } = require('@zxcvbn-ts/language-common') as typeof LanguageCommon;
  return (common = new Set(dictionary['passwords-common']));
}

const PATTERN_MAX_LENGTH = 12;
const RUNS = ['abcdefghijklmnopqrstuvwxyz', '01234567890123456789'].flatMap((run) => [
  run,
  Array.from(run).toReversed().join(''),
]);

function isCommon(password: string): boolean {
  const lowered = password.normalize('NFC').toLowerCase();
  return commonPasswords().has(lowered) || isPattern(lowered);
}

/**
 * `abcdefgh`, `87654321`, `11111111`, `abcabcabc`: missing from the list, because zxcvbn detects them by other means.
 */
function isPattern(text: string): boolean {
  if (text.length > PATTERN_MAX_LENGTH || !/^[a-z0-9]+$/.test(text)) return false;
  return /^(.{1,4})\1+$/.test(text) || RUNS.some((run) => run.includes(text));
}

/** @returns the problems, worded for the user. @param minLength in code points after NFC */
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
