// Emoji in the tone that somebody chose.
import { expect, test } from 'vitest';
import { toned } from './tone';

test('a hand, a person with a profession and one that is drawn as a sign take the tone in the right place', () => {
  expect(toned('👍', 3)).toBe('👍🏽');
  expect(toned('👩‍⚕️', 1)).toBe('👩🏻‍⚕️');
  expect(toned('☝️', 5)).toBe('☝🏿');
  expect(toned('🏃‍♀️‍➡️', 2)).toBe('🏃🏼‍♀️‍➡️');
});

test('what has no skin, a family, and no tone at all stay as they are', () => {
  expect(toned('🎉', 3)).toBe('🎉');
  expect(toned('👨‍👩‍👧', 3)).toBe('👨‍👩‍👧');
  expect(toned('👍', 0)).toBe('👍');
  expect(toned('👍', 9)).toBe('👍');
});
