// A message in a few words, whatever somebody wrote to make that slow.
import { expect, test } from 'vitest';
import { brief } from './brief';

const of = (text: string): string => brief({ kind: 'text', text });

test('marks go, words stay', () => {
  expect(
    of('**Good** _news_: *all* of it,\n\n  > said he\n- one\n2. two, `three` and [a place](https://example.org)'),
  ).toBe('Good _news_: all of it, said he one two, three and a place');
});

test('of a long text the beginning is told, and of a link in which that ends its words', () => {
  expect(of('word '.repeat(100))).toBe(`${'word '.repeat(80).trim()}…`);
  expect(of(`see [the place](https://example.org/${'a'.repeat(600)}) there`)).toBe('see the place…');
  expect(of(`${'a'.repeat(399)}👍`)).toBe(`${'a'.repeat(399)}…`);
});

test.each([
  ['brackets', '['.repeat(20_480)],
  ['links that do not end', '[a]('.repeat(5_000)],
  ['empty lines', `a${'\n'.repeat(20_400)}a`],
  ['stars', ' *a'.repeat(6_000)],
  ['digits', `${'1'.repeat(20_400)}`],
])('twenty messages of %s freeze nobody', (_, text) => {
  const begun = performance.now();
  for (let i = 0; i < 20; i++) of(text);
  // Without a bound it is up to 300 ms for each.
  expect(performance.now() - begun).toBeLessThan(1_000);
});
