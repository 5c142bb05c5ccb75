// What one message makes impossible to show leaves the rest on the screen.
import { cleanup, render } from '@testing-library/svelte';
import { createRawSnippet } from 'svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { node } from '../api/asked';
import { newPending } from '../store/outgoing';
import { said } from '../store/said';
import { store } from '../store/store.svelte';
import Dialog from '../ui/Dialog.svelte';
import MessageInfo from './MessageInfo.svelte';
import PendingRow from './PendingRow.svelte';
import Timeline from './Timeline.svelte';

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test('two versions of the same words at the same time are both shown', async () => {
  const version = { at: '2026-05-01T10:00:00Z', text: 'the same' };
  node(() => Response.json([version, version]));
  const { container } = render(MessageInfo, {
    message: said('1', { edits: 2 }),
    room: undefined,
    close: () => undefined,
  });
  await vi.waitFor(() => expect(container.querySelectorAll('.version')).toHaveLength(2));
});

test('a file that is attached twice is shown twice while it is sent', () => {
  const file = { id: 'f1', name: 'a.txt', bytes: 1, mime: 'text/plain' };
  const pending = newPending('r', '', [file, file], null, null);
  const { container } = render(PendingRow, { pending, first: true, line: store.timeline('r') });
  expect(container.querySelectorAll('.file')).toHaveLength(2);
});

test('a dialog whose content cannot be shown says so, and can be closed', () => {
  const children = createRawSnippet(() => {
    throw new Error('something a member made');
  });
  const view = render(Dialog, { title: 'Details', close: () => undefined, children });
  expect(view.container.textContent).toContain('This cannot be shown.');
  expect(view.getByRole('button', { name: 'Close' })).toBeTruthy();
});

/** The list has a size, so that what is seen of it is drawn. */
class Sizes {
  constructor(private readonly tell: (entries: object[]) => void) {}
  observe(target: Element): void {
    const entry = { target, contentRect: { width: 400, height: target.matches('.scroller') ? 400 : 40 } };
    queueMicrotask(() => this.tell([entry]));
  }
  unobserve(): void {}
  disconnect(): void {}
}

test('a message that cannot be shown says so in its place', async () => {
  vi.stubGlobal('ResizeObserver', Sizes);
  Object.defineProperty(HTMLElement.prototype, 'offsetParent', { configurable: true, get: () => document.body });
  const bad = { ...said('2'), reactions: null } as unknown as ReturnType<typeof said>;
  node(() => Response.json({ items: [said('1', { text: 'before' }), bad, said('3', { text: 'behind' })] }));
  const line = store.timeline('i1');
  const nothing = (): void => undefined;
  const { container } = render(Timeline, {
    line,
    room: undefined,
    onmenu: nothing,
    onreact: nothing,
    onreply: nothing,
    onjump: nothing,
  });
  await line.open({ kind: 'end' });
  await vi.waitFor(() => expect(container.textContent).toContain('This message cannot be shown.'));
  expect(container.textContent).toContain('before');
  expect(container.textContent).toContain('behind');
});
