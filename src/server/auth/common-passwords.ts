import { dictionary } from '@zxcvbn-ts/language-common';

/** About fifty thousand, lower-cased, most frequent first (NIST SP 800-63B-4, section 3.1.1.2). */
const common = new Set(dictionary['passwords-common']);

/** Whether so many others use this password that it is among the first to be tried. Case does not hide it. */
export const isCommonPassword = (password: string): boolean => common.has(password.normalize('NFC').toLowerCase());
