import { dictionary } from '@zxcvbn-ts/language-common';

/** About fifty thousand, lower-cased, most frequent first (NIST SP 800-63B-4, section 3.1.1.2). */
const common = new Set(dictionary['passwords-common']);

/** Longer patterns are not among the first to be tried. In characters. */
const PATTERN_MAX_LENGTH = 12;
const RUNS = ['abcdefghijklmnopqrstuvwxyz', '01234567890123456789'].flatMap((run) => [
  run,
  Array.from(run).toReversed().join(''),
]);

/** Whether so many others use this password that it is among the first to be tried. Case does not hide it. */
export function isCommonPassword(password: string): boolean {
  const lowered = password.normalize('NFC').toLowerCase();
  return common.has(lowered) || isPattern(lowered);
}

/** What the list leaves out, because zxcvbn finds it by itself: `abcdefgh`, `87654321`, `11111111`, `abcabcabc`. */
function isPattern(text: string): boolean {
  if (text.length > PATTERN_MAX_LENGTH || !/^[a-z0-9]+$/.test(text)) return false;
  return /^(.{1,4})\1+$/.test(text) || RUNS.some((run) => run.includes(text));
}
