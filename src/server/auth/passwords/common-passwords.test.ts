import { expect, test } from 'vitest';
import { isCommonPassword } from './common-passwords.ts';

test.each([
  'password1',
  'Passw0rd',
  'iloveyou',
  '12345678',
  '87654321',
  '0123456789',
  '9876543210',
  '1234567890',
  'abcdefgh',
  'hgfedcba',
  'ABCDEFGH',
  '00000000',
  '1111111111',
  'aaaaaaaa',
  '12121212',
  '123123123',
  'abcdabcd',
  '12341234',
])('%s is common', (password) => {
  expect(isCommonPassword(password)).toBe(true);
});

// There are no rules about what a password is made of (NIST SP 800-63B-4, section 3.1.1.2).
test.each([
  'correct horse',
  'aaaabbbbccccdddd',
  'A'.repeat(80),
  'é'.repeat(8),
  '😀'.repeat(8),
  ' '.repeat(12),
  '3141592653',
  'abcdefghi7',
  'weaves algebraic patterns',
])('%j is not', (password) => {
  expect(isCommonPassword(password)).toBe(false);
});
