// What a person writes into the search.
import { expect, test } from 'vitest';
import { parse, pieces } from './find';

test('filters are taken out of what was written, and the blank behind a word stays', () => {
  expect(parse('room:"Reading club" hel from:Bob ')).toEqual({
    q: 'hel ',
    filters: { room: 'Reading club', from: 'Bob' },
  });
  expect(parse('see you')).toEqual({ q: 'see you', filters: {} });
});

test('marks count characters, so emoji before them move nothing', () => {
  expect(pieces('😀 hello', [[2, 5]])).toEqual([
    { text: '😀 ', hit: false },
    { text: 'hel', hit: true },
    { text: 'lo', hit: false },
  ]);
});
