// Joining takes its time: what was opened meanwhile stays.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { detail, event, node, refused } from '../api/asked';
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

/** A node with these joins; answers what was taken off. */
function asked(joins: { room: string }[]): string[] {
  const off: string[] = [];
  node(({ method, path }) => {
    if (path.endsWith('/status')) return Response.json({ account: 'me', rooms: [], warnings: [], joins });
    if (path.includes('/rooms/')) return refused('room_not_found', 404);
    if (method === 'DELETE') off.push(path);
    return Response.json(method === 'DELETE' ? joins[0] : []);
  });
  return off;
}
const problem = { code: 'join_refused', message: 'your request was refused', hint: 'ask them' };
const WAITS = { room: 'W', step: 'relay', since: '2026-01-01T00:00:00Z' };
const ENDED = { room: 'E', step: 'ended', since: '2026-01-02T00:00:00Z', problem };
function press(view: { container: HTMLElement }, label: string): void {
  const buttons = [...view.container.querySelectorAll('footer button')];
  const click = new MouseEvent('click', { bubbles: true });
  buttons.findLast((b) => b.textContent.trim() === label)!.dispatchEvent(click);
}

test('what one asked to come into stands in the list of rooms until how it ended is cleared, in every window', async () => {
  const off = asked([WAITS, ENDED]);
  await store.load();
  const view = render(RoomList);
  await view.findByText('A relay keeps the request until a member comes by');
  view.getByText('Your request was refused').closest('button')!.click();
  expect(dialogs.now).toEqual({ kind: 'joining', room: 'E' });
  const dialog = render(JoinStateDialog, { room: 'E', close: () => dialogs.close() });
  expect(dialog.getByText('Ask them')).toBeDefined();
  dialog.getByLabelText('Close').click();
  expect(off).toEqual([]);
  expect(view.container.textContent).toContain('Your request was refused');
  press(dialog, 'Clear');
  await vi.waitFor(() => expect(view.container.textContent).not.toContain('Your request was refused'));
  expect(off).toEqual(['/api/v1/joins/E']);
  // Another window hears of it.
  store.joins.set('E', ENDED as never);
  store.apply(event('join', { room: 'E', step: 'over' }));
  expect(store.joins.has('E')).toBe(false);
});

test('a join that waits is cancelled when that is confirmed, and not before', async () => {
  const off = asked([WAITS]);
  await store.load();
  let closed = 0;
  const dialog = render(JoinStateDialog, { room: 'W', close: () => closed++ });
  press(dialog, 'Withdraw request');
  await dialog.findByText('Withdraw this request?');
  expect(off).toEqual([]);
  press(dialog, 'Withdraw request');
  await vi.waitFor(() => expect(store.joins.has('W')).toBe(false));
  expect(off).toEqual(['/api/v1/joins/W']);
  await vi.waitFor(() => expect(closed).toBeGreaterThan(0));
});

test('a join that another window cancelled is waited for no more', async () => {
  asked([WAITS]);
  await store.load();
  let closed = 0;
  render(JoinStateDialog, { room: 'W', close: () => closed++ });
  await vi.waitFor(() => expect(document.body.textContent).toContain('A relay keeps the request'));
  store.apply(event('join', { room: 'W', step: 'over' }));
  await vi.waitFor(() => expect(closed).toBe(1));
});
