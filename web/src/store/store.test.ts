// Answers of the node may come late and out of order: what is newer stays.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { detail, event, item, node, refused } from '../api/asked';
import type { Room } from '../api/types';
import { said } from './said';
import { Store } from './store.svelte';
import type { Timeline } from './timeline.svelte';

/** Answers that the test gives when it wants to, in the order in which they were asked for. */
function answers(): ((body: object) => void)[] {
  const given: ((body: object) => void)[] = [];
  vi.stubGlobal('fetch', () => new Promise((resolve) => given.push((body) => resolve(Response.json(body)))));
  return given;
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const room = (more: Partial<Room>): Room => detail('r', more);

/** A room that is shown, and whose window misses what `messages` says from the second asking on: it fell behind, and is offline. */
async function lossOf(store: Store, messages: () => Response): Promise<Timeline> {
  node((a) =>
    a.path.endsWith('/messages')
      ? messages()
      : Response.json(a.path.endsWith('/status') ? { account: 'me', rooms: [], warnings: [] } : []),
  );
  store.hear({ kind: 'state', state: 'open' });
  const line = store.timeline('r');
  await line.open({ kind: 'end' });
  store.hear({ kind: 'reload' });
  store.hear({ kind: 'state', state: 'offline' });
  return line;
}

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

  test('contacts and settings that came while a slow snapshot was on its way stay', async () => {
    const slow: (() => void)[] = [];
    let changed = false;
    node((a) => {
      const answer = Response.json(
        a.path.endsWith('/contacts')
          ? changed
            ? [{ account: 'bob', name: 'Bob' }]
            : []
          : a.path.endsWith('/settings')
            ? { typing: false }
            : a.path.endsWith('/status')
              ? { account: 'me', rooms: [], warnings: [] }
              : [],
      );
      return a.path.endsWith('/rooms') ? new Promise((resolve) => slow.push(() => resolve(answer))) : answer;
    });
    const store = new Store();
    const loaded = store.load();
    await vi.waitFor(() => expect(slow).toHaveLength(1));
    changed = true;
    store.apply(event('contact', {}));
    await vi.waitFor(() => expect(store.contacts).toHaveLength(1));
    const settings = { typing: true } as never;
    store.changed(settings);
    slow[0]!();
    await loaded;
    expect(store.contacts).toHaveLength(1);
    expect(store.settings).toEqual(settings);
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
    let items = [said('1', { text: 'one' })];
    const line = await lossOf(store, () => Response.json({ items }));
    // It came before the next connection: no event tells of it.
    items = [...items, said('2', { text: 'between' })];
    store.hear({ kind: 'state', state: 'open' });
    await vi.waitFor(() => expect(line.held.items.map((i) => i.text)).toEqual(['one', 'between']));
  });

  test('a snapshot that could not be read is asked for again while the link stands', async () => {
    vi.useFakeTimers();
    let away = 2;
    node((a) =>
      a.path.endsWith('/rooms') && away-- > 0
        ? refused('busy', 503)
        : Response.json(a.path.endsWith('/status') ? { account: 'me', rooms: [], warnings: [] } : []),
    );
    const store = new Store();
    store.hear({ kind: 'state', state: 'open' });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(store.ready).toBe(false);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(store.ready).toBe(true);
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
    const line = await lossOf(store, () => (away-- > 0 ? refused('internal', 500) : Response.json({ items })));
    items = [...items, said('2', { text: 'between' })];
    away = 2;
    store.hear({ kind: 'state', state: 'open' });
    await vi.advanceTimersByTimeAsync(1_000);
    expect([line.stale, line.held.items.length]).toEqual([true, 1]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(line.held.items.map((i) => i.text)).toEqual(['one', 'between']);
    expect(line.stale).toBe(false);
  });
});
