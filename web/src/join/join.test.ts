// Joining takes its time: what was opened meanwhile stays.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { detail, node } from '../api/asked';
import { dialogs } from '../app/dialogs.svelte';
import { store } from '../store/store.svelte';
import RoomList from '../rooms/RoomList.svelte';
import JoinDialog from './JoinDialog.svelte';
import JoinStateDialog from './JoinStateDialog.svelte';

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

test('a join that is answered late closes no other dialog', async () => {
  let answer: ((response: Response) => void) | undefined;
  node((a) => (a.path.endsWith('/join') ? new Promise((resolve) => (answer = resolve)) : Response.json(detail('Z'))));
  const view = render(JoinDialog, { link: 'parlor://join/1/x', close: () => dialogs.close() });
  document.querySelector('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await vi.waitFor(() => expect(answer).toBeDefined());
  view.unmount();
  dialogs.open({ kind: 'create', room: 'group' });
  answer!(Response.json({ room: 'Z', state: 'joined' }));
  await vi.waitFor(() => expect(store.details.has('Z')).toBe(true));
  expect(dialogs.now).toEqual({ kind: 'create', room: 'group' });
  expect(location.hash).not.toContain('Z');
});

test('a request that waits for approval says so, and how many members have it', async () => {
  const waits = { room: 'Z', name: '', role: 'member', state: 'pending', step: 'approval', members: 1 };
  node((a) => Response.json(a.path.endsWith('/join') ? waits : detail('Z')));
  render(JoinDialog, { link: 'parlor://join/1/x', close: () => undefined });
  document.querySelector('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await vi.waitFor(() => expect(document.body.textContent).toContain('1 member who may approve has the request'));
  store.joins.set('Z', { room: 'Z', step: 'approval', members: 3, since: '2026-01-01T00:00:00Z' });
  await vi.waitFor(() => expect(document.body.textContent).toContain('3 members who may approve have the request'));
});

test('what one asked to come into stands in the list of rooms until it ended and was looked at', async () => {
  const problem = { code: 'join_refused', message: 'your request was refused', hint: 'ask them' };
  const joins = [
    { room: 'W', step: 'relay', since: '2026-01-01T00:00:00Z' },
    { room: 'E', step: 'ended', since: '2026-01-02T00:00:00Z', problem },
  ];
  node((a) => Response.json(a.path.endsWith('/status') ? { account: 'me', rooms: [], warnings: [], joins } : []));
  await store.load();
  const view = render(RoomList);
  await view.findByText('A relay keeps the request until a member comes by');
  const ended = view.getByText('Your request was refused').closest('button')!;
  ended.click();
  expect(dialogs.now).toEqual({ kind: 'joining', room: 'E' });
  const dialog = render(JoinStateDialog, { room: 'E', close: () => dialogs.close() });
  expect(dialog.getByText('Ask them')).toBeDefined();
  [...dialog.container.querySelectorAll('footer button')]
    .at(-1)!
    .dispatchEvent(new MouseEvent('click', { bubbles: true }));
  await vi.waitFor(() => expect(view.container.textContent).not.toContain('Your request was refused'));
  cleanup();
  // Nor is it told when the page is opened again.
  await store.load();
  expect(render(RoomList).container.textContent).not.toContain('Your request was refused');
});
