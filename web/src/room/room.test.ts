// A room on the screen: what is opened beside it moves nobody, and what is confirmed is about the room it was asked for.
import { cleanup, render } from '@testing-library/svelte';
import { flushSync } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { detail, event, item, node, refused } from '../api/asked';
import type { Route } from '../app/route.svelte';
import { said } from '../store/said';
import { store } from '../store/store.svelte';
import Members from './Members.svelte';
import RemoveDialog from './RemoveDialog.svelte';
import RoomSettings from './RoomSettings.svelte';
import RoomView from './RoomView.svelte';
import ThreadPane from './ThreadPane.svelte';

afterEach(async () => {
  cleanup();
  // What is said on leaving is still said to this node.
  await new Promise((resolve) => setTimeout(resolve));
  vi.unstubAllGlobals();
});

const route = (room: string, side: 'none' | 'thread' = 'none'): Route & { at: 'room' } => ({
  at: 'room',
  room,
  side,
  thread: '',
  message: '',
  tab: '',
});
const answers = (room: string) => (asked: { path: string }) =>
  Response.json(
    asked.path.endsWith(`/rooms/${room}`)
      ? detail(room)
      : asked.path.endsWith('/draft')
        ? { text: '' }
        : asked.path.endsWith('/messages/')
          ? said('1')
          : asked.path.includes('/rooms/')
            ? { items: [] }
            : asked.path.endsWith('/rooms')
              ? [item(room)]
              : asked.path.endsWith('/status')
                ? { account: 'me', rooms: [] }
                : [],
  );

test('what is opened beside the messages leaves the reader where he is', async () => {
  node(answers('r1'));
  store.ready = true;
  store.rooms.set('r1', item('r1'));
  store.details.set('r1', detail('r1'));
  const line = store.timeline('r1');
  const opened = vi.spyOn(line, 'open').mockResolvedValue();
  line.loaded = true;
  const view = render(RoomView, { route: route('r1') });
  line.target = null;
  opened.mockClear();
  line.held = { ...line.held, newer: '5' };
  await view.rerender({ route: route('r1', 'thread') });
  await view.rerender({ route: route('r1') });
  flushSync();
  expect(opened).not.toHaveBeenCalled();
  expect(line.target).toBe(null);
});

test('a room is not missing because the node was away for a moment', async () => {
  let away = true;
  const asked = node((a) => {
    if (away) throw new TypeError('away');
    return answers('r2')(a);
  });
  store.ready = true;
  store.rooms.set('r2', item('r2'));
  store.link = 'open';
  const view = render(RoomView, { route: route('r2') });
  await vi.waitFor(() => expect(asked.some((a) => a.path.endsWith('/rooms/r2'))).toBe(true));
  away = false;
  store.hear({ kind: 'state', state: 'offline' });
  store.hear({ kind: 'state', state: 'open' });
  await vi.waitFor(() => expect(view.container.querySelector('.composer')).not.toBe(null));
});

test('a room that the node does not have is said to be missing', async () => {
  node((a) => (a.path.endsWith('/rooms/r3') ? refused('room_not_found', 404) : answers('r3')(a)));
  store.ready = true;
  const view = render(RoomView, { route: route('r3') });
  await vi.waitFor(() => expect(view.container.textContent).toContain('no such room'));
});

test('what disappeared is not shown as the beginning of its thread', async () => {
  let gone = false;
  store.details.set('r4', detail('r4'));
  node((a) =>
    !a.path.endsWith('/messages/m1')
      ? Response.json({ items: [] })
      : gone
        ? refused('message_not_found', 404)
        : Response.json(said('1', { room: 'r4', text: 'secret root' })),
  );
  const view = render(ThreadPane, { room: 'r4', root: 'm1' });
  await vi.waitFor(() => expect(view.container.textContent).toContain('secret root'));
  gone = true;
  store.apply(event('message.expired', { room: 'r4', message: 'm1' }));
  await vi.waitFor(() => expect(view.container.textContent).not.toContain('secret root'));
});

test('the settings that are open are those of the room they were opened for', async () => {
  const asked = node(() => Response.json({}));
  const [a, b] = [detail('A', { about: 'of A' }), detail('B', { about: 'of B' })];
  const view = render(RoomSettings, { room: a });
  view.container.querySelector('button')!.click();
  flushSync();
  const about = document.querySelector<HTMLTextAreaElement>('form textarea')!;
  await view.rerender({ room: b });
  about.value = 'of A, changed';
  about.dispatchEvent(new Event('input', { bubbles: true }));
  document.querySelector('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await vi.waitFor(() => expect(asked.filter((x) => x.method === 'PATCH')).toHaveLength(1));
  expect(asked[0]).toMatchObject({ path: '/api/v1/rooms/A', body: { about: 'of A, changed' } });
});

test('a dialog of removal is about the room it was opened in', async () => {
  const asked = node(() => Response.json({}));
  const member = { account: 'bob', name: 'Bob', role: 'member', me: false } as never;
  const view = render(RemoveDialog, { room: detail('A'), member, ban: true, close: () => undefined });
  await view.rerender({ room: detail('B') });
  [...document.querySelectorAll<HTMLButtonElement>('button.danger')].at(-1)!.click();
  await vi.waitFor(() => expect(asked.length).toBeGreaterThan(0));
  expect(asked[0]!.path).toBe('/api/v1/rooms/A/members/bob/ban');
});

test('of a member whose node has not come yet it is said', () => {
  node(() => Response.json([]));
  const person = { role: 'member', devices: [], me: false, online: false, joined_at: '', verified: false };
  const people = [
    { ...person, account: 'dora', name: 'Dora', not_here_yet: true },
    { ...person, account: 'emil', name: 'Emil', by: { account: 'dora', name: 'Dora' } },
  ];
  const view = render(Members, { room: detail('r5', { people }) });
  expect(view.getByText('Dora').closest('li')!.textContent).toContain('Not here yet');
  expect(view.getByText('Emil').closest('li')!.textContent).toContain('Invited by Dora');
});

test('what begins a thread is a message that can be reached and used with the keyboard', async () => {
  const reply = { message: 'm0', author: said('0').author, kind: 'text' as const, text: 'before', deleted: false };
  store.details.set('r6', detail('r6'));
  node((a) =>
    a.path.endsWith('/messages/m1')
      ? Response.json(said('1', { room: 'r6', text: 'root', reply_to: 'm0', reply }))
      : Response.json({ items: [] }),
  );
  const view = render(ThreadPane, { room: 'r6', root: 'm1' });
  await vi.waitFor(() => expect(view.container.textContent).toContain('root'));
  const article = view.getByRole('article');
  expect(article.tabIndex).toBe(0);
  expect(article.getAttribute('aria-label')).toContain('Bob');
  const key = (name: string): boolean =>
    document.activeElement!.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
  article.focus();
  key('Enter');
  expect(article.contains(document.activeElement)).toBe(true);
  expect(document.activeElement).not.toBe(article);
  key('Escape');
  expect(document.activeElement).toBe(article);
});
