import { describe, expect, it } from 'vitest';
import { passwordProblems } from './policy.ts';

const problems = (password: string, minLength = 8) =>
  passwordProblems(password, { username: 'Annabella', email: 'anna@example.com' }, minLength);

describe('passwordProblems', () => {
  it.each([
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
  ])('refuses the common password %s', (password) => {
    expect(problems(password)).toEqual([expect.stringContaining('Many people use this password')]);
  });

  // No composition rules (NIST SP 800-63B-4, section 3.1.1.2).
  it.each([
    'correct horse',
    'aaaabbbbccccdddd',
    'A'.repeat(80),
    'é'.repeat(8),
    '😀'.repeat(8),
    ' '.repeat(12),
    '3141592653',
    'abcdefghi7',
    'weaves algebraic patterns',
  ])('accepts %j', (password) => {
    expect(problems(password)).toEqual([]);
  });

  it.each(['ANNABELLA', 'annabella', 'Anna@Example.com'])("refuses the owner's own %s", (password) => {
    expect(problems(password)).toEqual(['Choose a password that is not your email or username.']);
  });

  it('applies the configured minimum', () => {
    expect(problems('qzjx vwpk 1', 12)).toEqual(['Use at least 12 characters.']);
    expect(problems('qzjx vwpk 12', 12)).toEqual([]);
  });

  it('refuses what the shared schema refuses', () => {
    expect(problems('a'.repeat(129))).toEqual(['Use at most 128 characters.']);
    expect(problems('abcdefgh\ud800')).toEqual(['This contains a character that cannot be stored.']);
  });
});
