// What is read before events are heard: the window is filled at once, and nothing that was said meanwhile is missing.
import { afterEach, expect, test, vi } from 'vitest';
import { event, node } from '../api/asked';
import { said } from './said';
import { Store } from './store.svelte';

afterEach(() => vi.unstubAllGlobals());

test('what came between the first requests and the link is read once the link stands, and moves nobody', async () => {
  let items = [said('1', { text: 'one' }), said('2', { text: 'two' })];
  const rooms = [{ room: 'r', name: 'Old name', kind: 'group', unread: 0 }];
  node((a) =>
    Response.json(
      a.path.endsWith('/messages')
        ? { items: [...items].reverse() }
        : a.path.endsWith('/rooms')
          ? rooms
          : a.path.endsWith('/status')
            ? { account: 'me', rooms: [], warnings: [] }
            : [],
    ),
  );
  const store = new Store();
  store.begin();
  await vi.waitFor(() => expect(store.ready).toBe(true));
  const line = store.timeline('r');
  await line.open({ kind: 'end' });
  line.target = null;
  items = [said('1', { text: 'one, changed' }), said('2', { text: 'two' }), said('3', { text: 'three' })];
  rooms[0]!.name = 'New name';
  store.hear({ kind: 'state', state: 'open' });
  await vi.waitFor(() => expect(line.held.items.map((m) => m.text)).toEqual(['one, changed', 'two', 'three']));
  await vi.waitFor(() => expect(store.rooms.get('r')?.name).toBe('New name'));
  expect(line.target).toBe(null);
});

test('the newest page that was asked for ahead is asked for once, and shown when it is wanted', async () => {
  const asked = node(() => Response.json({ items: [said('1', { text: 'one' })] }));
  const line = new Store().timeline('r');
  line.prefetch();
  line.prefetch();
  await line.open({ kind: 'end' });
  expect(asked).toHaveLength(1);
  expect(line.target).toEqual({ kind: 'end' });
});

test('a page that was asked for ahead is not shown while nobody knows where to begin, and hears what comes', async () => {
  node(() => Response.json({ items: [said('1', { text: 'one' })] }));
  const line = new Store().timeline('r');
  line.prefetch();
  await vi.waitFor(() => expect(line.loaded).toBe(true));
  expect(line.target).toBe(null);
  line.hear(event('message', said('2', { text: 'two' })));
  expect(line.held.items).toHaveLength(2);
});

test('what disappeared between the first requests and the link is not shown any more, and what is beyond the page stays', async () => {
  const quote = { message: 'm3', author: said('3').author, kind: 'text', text: 'secret', deleted: false } as const;
  let items = ['2', '3', '5'].map((order) => said(order, { text: order === '3' ? 'secret' : order }));
  const line = new Store().timeline('r');
  let meanwhile = (): void => undefined;
  node(() => {
    const answer = Response.json({ items: [...items].reverse(), older: '2' });
    meanwhile();
    return answer;
  });
  await line.open({ kind: 'end' });
  line.held = { ...line.held, items: [said('1', { reply_to: 'm3', reply: quote }), ...line.held.items], older: null };
  items = items.filter((m) => m.order !== '3');
  meanwhile = () => line.hear(event('message', said('6', { text: 'came meanwhile' })));
  await line.again();
  expect(line.held.items.map((m) => m.order)).toEqual(['1', '2', '5', '6']);
  expect(JSON.stringify(line.held)).not.toContain('secret');
  meanwhile = () => undefined;
  items = items.slice(1);
  await line.again();
  expect(line.held.items.map((m) => m.order)).toEqual(['1', '2', '5']);
});
