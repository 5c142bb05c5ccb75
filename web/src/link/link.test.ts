// A window whose link ended, because the page was locked or the session was over, reads everything again with the next one.
import { afterEach, expect, test, vi } from 'vitest';
import type { Told } from './hub';
import { openLink } from './link';

afterEach(() => vi.unstubAllGlobals());

test('what was said while there was no link is read again, also without a SharedWorker', () => {
  vi.stubGlobal('SharedWorker', undefined);
  vi.stubGlobal('fetch', () => new Promise(() => undefined));
  const told: Told[] = [];
  openLink('t', (word) => told.push(word)).close();
  expect(told).toEqual([]);
  openLink('t', (word) => told.push(word)).close();
  expect(told).toEqual([{ kind: 'reload' }]);
});
