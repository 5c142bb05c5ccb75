// What is done with a message is shown at once, and nothing comes back by it.
import { afterEach, expect, test, vi } from 'vitest';
import { event, node, refused } from '../api/asked';
import { said } from '../store/said';
import { store } from '../store/store.svelte';
import { react } from './actions';

afterEach(() => vi.unstubAllGlobals());

test('a reaction that is refused brings no deleted text back', async () => {
  const m = said('1', { room: 'a1', text: 'secret' });
  node((a) => (a.method === 'PUT' ? refused('conflict', 409) : Response.json({ items: [m] })));
  const line = store.timeline('a1');
  await line.open({ kind: 'end' });
  line.hear(event('message.updated', { ...m, text: '', deleted: true }));
  await react(m, '👍');
  expect(JSON.stringify(line.held.items)).not.toContain('secret');
});
