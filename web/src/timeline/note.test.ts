// Notes of the room's log: what came to nothing says so.
import { expect, test } from 'vitest';
import { said } from '../store/said';
import { noteText } from './note';

test('what was done and does not count is told as such', () => {
  const by = { account: 'ann', name: 'Ann' };
  const note = (counts: boolean): string =>
    noteText(said('1', { kind: 'system', text: 'x', system: { what: 'invited', by, counts } }));
  expect(note(true)).not.toContain('count');
  expect(note(false)).toContain('this does not count');
});
