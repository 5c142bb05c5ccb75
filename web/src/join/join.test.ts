// Joining takes its time: what was opened meanwhile stays.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { detail, node } from '../api/asked';
import { dialogs } from '../app/dialogs.svelte';
import { store } from '../store/store.svelte';
import JoinDialog from './JoinDialog.svelte';

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
