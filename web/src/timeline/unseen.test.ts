// What comes while nobody looks is not taken as read: the line stands above the first of it.
import { cleanup, render } from '@testing-library/svelte';
import { flushSync } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { detail, event, item, node } from '../api/asked';
import { said } from '../store/said';
import { store } from '../store/store.svelte';
import type { Timeline as Line } from '../store/timeline.svelte';
import Timeline from './Timeline.svelte';

afterEach(async () => {
  cleanup();
  await new Promise((resolve) => setTimeout(resolve));
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  store.status = null;
});

/** A room whose end is on the screen, of a window that is looked at or not. */
async function shown(room: string, looking: boolean): Promise<Line> {
  node((a) => Response.json(a.path.endsWith('/messages') ? { items: [said('1', { room })] } : {}));
  vi.spyOn(document, 'hasFocus').mockReturnValue(looking);
  store.status = { account: 'me' } as never;
  store.rooms.set(room, item(room));
  const line = store.timeline(room);
  await line.open({ kind: 'end' });
  const none = (): void => undefined;
  render(Timeline, { line, room: detail(room), onmenu: none, onreact: none, onreply: none, onjump: none });
  flushSync();
  return line;
}

const came = (room: string, order: string, more: object = {}): void => {
  store.apply(event('message', said(order, { room, ...more })));
  flushSync();
};
const unread = (room: string, n: number, first: string | null): void => {
  store.apply(event('unread', { room, unread: n, mentions: 0, first_unread_order: first }));
  flushSync();
};

test('the line stands above the first that came while nobody looked, and stays there', async () => {
  const line = await shown('u1', false);
  came('u1', '2', { author: { account: 'me', name: 'Me' } });
  expect(line.unreadFrom).toBe(null);
  came('u1', '3');
  came('u1', '4');
  expect(line.unreadFrom).toBe('3');
  unread('u1', 2, '3');
  came('u1', '5');
  expect(line.unreadFrom).toBe('3');
  // Read elsewhere: the next one is new again.
  unread('u1', 0, null);
  came('u1', '6');
  expect(line.unreadFrom).toBe('6');
});

test('what was unread before is not moved by what comes', async () => {
  const line = await shown('u2', false);
  unread('u2', 1, '1');
  came('u2', '2');
  expect(line.unreadFrom).toBe('1');
});

test('there is no line above what somebody saw come', async () => {
  const line = await shown('u3', true);
  came('u3', '2');
  expect(line.unreadFrom).toBe(null);
});
