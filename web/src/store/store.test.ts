// Answers of the node may come late and out of order: what is newer stays.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { detail, event, item, node, refused } from '../api/asked';
import type { Room } from '../api/types';
import { said } from './said';
import { Store } from './store.svelte';

/** Answers that the test gives when it wants to, in the order in which they were asked for. */
function answers(): ((body: object) => void)[] {
  const given: ((body: object) => void)[] = [];
  vi.stubGlobal('fetch', () => new Promise((resolve) => given.push((body) => resolve(Response.json(body)))));
  return given;
}

afterEach(() => vi.unstubAllGlobals());

const room = (more: Partial<Room>): Room => detail('r', more);

describe('what the window knows', () => {
  test('an older answer about a room does not take the place of a newer one', async () => {
    const given = answers();
    const store = new Store();
    const [first, second] = [store.loadRoom('r'), store.loadRoom('r')];
    await vi.waitFor(() => expect(given).toHaveLength(2));
    given[1]!(room({ name: 'New name' }));
    await second;
    given[0]!(room({ name: 'Old name' }));
    await first;
    expect(store.details.get('r')?.name).toBe('New name');
    expect(store.rooms.get('r')?.name).toBe('New name');
  });

  test('what was read while a room was on its way stays read', async () => {
    const given = answers();
    const store = new Store();
    const asked = store.loadRoom('r');
    await vi.waitFor(() => expect(given).toHaveLength(1));
    store.apply(event('unread', { room: 'r', unread: 0, mentions: 0 }));
    given[0]!(room({ unread: 3 }));
    await asked;
    expect(store.rooms.get('r')?.unread).toBe(0);
    expect(store.details.get('r')?.unread).toBe(0);
  });

  test('an older list of contacts does not take the place of a newer one', async () => {
    const given = answers();
    const store = new Store();
    const [first, second] = [store.loadContacts(), store.loadContacts()];
    await vi.waitFor(() => expect(given).toHaveLength(2));
    given[1]!([{ account: 'bob', name: 'Bob' }]);
    await second;
    given[0]!([]);
    await first;
    expect(store.contacts).toHaveLength(1);
  });

  test('what disappeared is not in the list of rooms, also after the room was read anew', async () => {
    const store = new Store();
    const m = said('1', { room: 'r', text: 'secret' });
    const asked = node(() => Response.json(room({ last_message: null })));
    store.rooms.set('r', item('r', { last_message: m }));
    store.apply(event('message.expired', { room: 'r', message: m.message }));
    expect(JSON.stringify([...store.rooms.values()])).not.toContain('secret');
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    store.rooms.set('r', item('r', { last_message: m }));
    await store.loadRoom('r');
    expect(JSON.stringify([...store.rooms.values()])).not.toContain('secret');
  });

  test('after a loss everything is read again once the next connection stands', async () => {
    const store = new Store();
    const m = said('1', { text: 'one' });
    let items = [m];
    node((a) =>
      Response.json(
        a.path.endsWith('/messages') ? { items } : a.path.endsWith('/status') ? { account: 'me', rooms: [] } : [],
      ),
    );
    store.hear({ kind: 'state', state: 'open' });
    const line = store.timeline('r');
    await line.open({ kind: 'end' });
    store.hear({ kind: 'reload' });
    store.hear({ kind: 'state', state: 'offline' });
    // It came before the next connection: no event tells of it.
    items = [m, said('2', { text: 'between' })];
    store.hear({ kind: 'state', state: 'open' });
    await vi.waitFor(() => expect(line.held.items.map((i) => i.text)).toEqual(['one', 'between']));
  });

  test('a thread that is left keeps what could not be sent', async () => {
    node((a) => (a.method === 'POST' ? refused('not_permitted', 403) : Response.json({ items: [] })));
    const store = new Store();
    const line = store.thread('r', 'root1');
    await line.open({ kind: 'end' });
    line.send('a long answer', [], null);
    await vi.waitFor(() => expect(line.pending[0]?.state).toBe('failed'));
    store.thread('r', 'root2');
    expect(store.thread('r', 'root1').pending).toHaveLength(1);
    expect(store.unsent()).toBe(1);
  });

  test('what could not be read again after a loss is asked for until it is read', async () => {
    vi.useFakeTimers();
    const store = new Store();
    let items = [said('1', { text: 'one' })];
    let away = 0;
    node((a) => {
      if (a.path.endsWith('/messages') && away-- > 0) return refused('internal', 500);
      return Response.json(
        a.path.endsWith('/messages') ? { items } : a.path.endsWith('/status') ? { account: 'me', rooms: [] } : [],
      );
    });
    store.hear({ kind: 'state', state: 'open' });
    const line = store.timeline('r');
    await line.open({ kind: 'end' });
    store.hear({ kind: 'reload' });
    store.hear({ kind: 'state', state: 'offline' });
    items = [...items, said('2', { text: 'between' })];
    away = 2;
    store.hear({ kind: 'state', state: 'open' });
    await vi.advanceTimersByTimeAsync(1_000);
    expect([line.stale, line.held.items.length]).toEqual([true, 1]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(line.held.items.map((i) => i.text)).toEqual(['one', 'between']);
    expect(line.stale).toBe(false);
    vi.useRealTimers();
  });
});
