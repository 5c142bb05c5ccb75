// What could not be asked is not told as nothing: what was known stays, with what went wrong and a way to ask again.
import { cleanup, render, screen } from '@testing-library/svelte';
import { tick } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { detail, node, refused } from '../api/asked';
import { said } from '../store/said';
import { store } from '../store/store.svelte';
import MessageInfo from '../timeline/MessageInfo.svelte';
import Invites from './Invites.svelte';
import PinsDialog from './PinsDialog.svelte';
import Requests from './Requests.svelte';

let away: boolean;
beforeEach(() => (away = true));
afterEach(async () => {
  cleanup();
  await new Promise((resolve) => setTimeout(resolve));
  vi.unstubAllGlobals();
  store.status = null;
});

const invite = { invite: 'i1', role: 'member', uses: 3, uses_left: 2, used: 1, expires_at: '2026-05-01T10:00:00Z' };
const asking = { account: 'dora', name: 'Dora', role: 'member', asked_at: '2026-05-01T10:00:00Z' };
const receipts = { people: [{ account: 'carol', name: 'Carol', read: true, read_at: '2026-05-01T10:00:00Z' }] };
const room = detail('asking', { role: 'admin' });
const close = (): void => undefined;

interface Shown {
  what: string;
  open: () => { container: HTMLElement };
  answer: unknown;
  found: string;
  nothing?: string;
}
const shown: Shown[] = [
  {
    what: 'open invites',
    open: () => render(Invites, { room }),
    answer: [invite],
    found: 'Revoke',
    nothing: 'No open invites',
  },
  {
    what: 'pins',
    open: () => render(PinsDialog, { room: 'asking', close }),
    answer: [said('1', { text: 'rules' })],
    found: 'rules',
    nothing: 'Nothing pinned',
  },
  {
    what: 'those who ask to come in',
    open: () => render(Requests, { room: 'asking' }),
    answer: [asking],
    found: 'Dora',
  },
  {
    what: 'receipts',
    open: () => render(MessageInfo, { message: said('1'), room, close }),
    answer: receipts,
    found: 'Carol',
  },
];

test.each(shown)('$what that could not be asked for are not told as none', async ({ open, answer, found, nothing }) => {
  // The message is ours.
  store.status = { account: 'bob' } as never;
  node(() => (away ? refused('busy', 503) : Response.json(answer)));
  const { container } = open();
  const text = (): string => (document.body.textContent ?? '') + (container.textContent ?? '');
  await vi.waitFor(() => expect(screen.getByText('Try again')).toBeTruthy());
  expect(text()).toContain('Busy');
  expect(text()).not.toContain(nothing ?? 'Nothing');
  expect(container.querySelector('.spin')).toBe(null);
  away = false;
  screen.getByText('Try again').click();
  await vi.waitFor(() => expect(text()).toContain(found));
  expect(text()).not.toContain('Busy');
});

test.each(shown.slice(0, 3))(
  '$what that were known stay while the node does not answer',
  async ({ open, answer, found }) => {
    away = false;
    node(() => (away ? refused('busy', 503) : Response.json(answer)));
    const { container } = open();
    const text = (): string => (document.body.textContent ?? '') + (container.textContent ?? '');
    await vi.waitFor(() => expect(text()).toContain(found));
    away = true;
    store.turn++;
    void store.loadRequests('asking');
    await vi.waitFor(() => expect(text()).toContain('Busy'));
    await tick();
    expect(text()).toContain(found);
  },
);
