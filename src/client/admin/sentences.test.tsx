import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it } from 'vitest';
import { eventLabel, eventTypes, sentenceFor, type Told } from './sentences.tsx';

const say = (type: string, told: Partial<Told> = {}) =>
  renderToStaticMarkup(sentenceFor(type, { who: 'Ada', by: undefined, detail: null, ...told }));

describe('an event in words', () => {
  it.each(eventTypes)('is a sentence without jargon: %s', (type) => {
    for (const by of [undefined, 'Grace'])
      for (const detail of [null, '3']) {
        const sentence = say(type, { by, detail });
        expect(sentence).toMatch(/^\S.*[.]$/);
        expect(sentence).not.toMatch(/_|undefined|null|NaN|\bIDs?\b|token| {2}/);
      }
  });

  it('says who did it to whom', () => {
    expect(say('role_changed', { by: 'Grace', detail: 'user → admin' })).toBe(
      'Grace changed the role of Ada: user → admin.',
    );
    expect(say('role_changed')).toBe('whoever runs this server changed the role of Ada.');
    expect(say('password_reset_requested')).toBe('Somebody asked for a link to reset the password of Ada.');
    expect(say('password_reset_requested', { by: 'Grace' })).toBe('Grace sent Ada a link to reset the password.');
  });

  it('does not call the right password wrong', () => {
    expect(say('sign_in_failed')).toBe('A login as Ada failed: email or password was wrong.');
    expect(say('sign_in_failed', { detail: 'account_disabled' })).toBe(
      'A login as Ada was refused: the account is disabled.',
    );
  });

  it.each([
    ['1', 'Ada ended another session.'],
    ['2', 'Ada ended 2 other sessions.'],
    [null, 'Ada ended some other sessions.'],
  ])('counts %s in words', (detail, sentence) => {
    expect(say('other_sessions_ended', { detail })).toBe(sentence);
  });

  it('shows one that this version does not know as it is', () => {
    expect(say('teleported')).toBe('Event “teleported”.');
    expect(say('toString')).toBe('Event “toString”.');
  });

  it('has a label that names no other', () => {
    expect(new Set(eventTypes.map(eventLabel)).size).toBe(eventTypes.length);
  });
});
