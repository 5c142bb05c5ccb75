// Answers of the node may come late and out of order: what is newer stays.
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { NodeEvent, Room } from '../api/types';
import { Store } from './store.svelte';

/** Answers that the test gives when it wants to, in the order in which they were asked for. */
function answers(): ((body: object) => void)[] {
  const given: ((body: object) => void)[] = [];
  vi.stubGlobal('fetch', () => new Promise((resolve) => given.push((body) => resolve(Response.json(body)))));
  return given;
}

afterEach(() => vi.unstubAllGlobals());

const room = (more: Partial<Room>): Room => ({ room: 'r', name: 'Room', kind: 'group', people: [], ...more }) as Room;

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
    store.apply({ event: 'unread', seq: 1, at: '', room: 'r', unread: 0, mentions: 0 } as unknown as NodeEvent);
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
});
