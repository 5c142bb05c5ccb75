// Where messages are written: nothing that was written is lost, and nothing that was sent comes back.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { detail, event, node, refused } from '../api/asked';
import { said } from '../store/said';
import { store } from '../store/store.svelte';
import Conversation from '../timeline/Conversation.svelte';
import { toasts } from '../ui/toasts.svelte';
import Composer from './Composer.svelte';
import { composeOf } from './state.svelte';

afterEach(async () => {
  cleanup();
  // What is said on leaving is still said to this node.
  await new Promise((resolve) => setTimeout(resolve));
  vi.unstubAllGlobals();
});

const shown = (room: string): { area: HTMLTextAreaElement; leave: () => void } => {
  const { container, unmount } = render(Composer, { line: store.timeline(room), room: detail(room) });
  return { area: container.querySelector('textarea')!, leave: unmount };
};
const enter = (area: HTMLTextAreaElement): boolean =>
  area.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
const write = (area: HTMLTextAreaElement, text: string): void => {
  area.value = text;
  area.dispatchEvent(new Event('input', { bubbles: true }));
};
const drafts = (asked: { method: string; path: string }[]): string[] =>
  asked.filter((a) => a.path.endsWith('/draft')).map((a) => a.method);

test('the draft of a room that one came back to goes when it is sent', async () => {
  const asked = node((a) => Response.json(a.path.endsWith('/messages') ? { message: 'x' } : { text: '' }));
  const first = shown('d1');
  await vi.waitFor(() => expect(drafts(asked)).toEqual(['GET']));
  write(first.area, 'half a thought');
  await vi.waitFor(() => expect(drafts(asked)).toEqual(['GET', 'PUT']));
  store.apply(event('draft', { room: 'd1', text: 'half a thought' }));
  first.leave();
  const again = shown('d1');
  await vi.waitFor(() => expect(again.area.value).toBe('half a thought'));
  enter(again.area);
  await vi.waitFor(() => expect(drafts(asked)).toEqual(['GET', 'PUT', 'DELETE']));
});

test('an older word of the node takes nothing away that was written since', async () => {
  let puts = 0;
  node((a) => {
    if (a.method !== 'PUT') return Response.json({ text: '' });
    puts++;
    throw new TypeError('away');
  });
  store.apply(event('draft', { room: 'd2', text: 'begun' }));
  const first = shown('d2');
  await vi.waitFor(() => expect(first.area.value).toBe('begun'));
  write(first.area, 'begun and went on for long');
  await vi.waitFor(() => expect(puts).toBe(1));
  first.leave();
  const again = shown('d2');
  await vi.waitFor(() => expect(again.area.value).toBe('begun and went on for long'));
});

test('a file that could not be handed over does not vanish with what is sent', () => {
  node(() => Response.json({ text: '' }));
  const c = composeOf('d3');
  const { area } = shown('d3');
  c.text = 'see the file';
  const file = { key: 'k', name: 'a.pdf', bytes: 3, mime: 'x/y', preview: '', sent: 0, id: '', failed: 'failed' };
  c.files = [{ ...file, abort: new AbortController() }];
  enter(area);
  expect(store.timeline('d3').pending).toEqual([]);
  expect(c.files).toHaveLength(1);
});

test('a file that the node did not take is handed over again by a press', async () => {
  node(() => Response.json({ text: '' }));
  let taken = false;
  class Request extends EventTarget {
    upload = new EventTarget();
    status = 200;
    response = { file: 'f1', bytes: 3, mime: 'text/plain' };
    open(): void {}
    setRequestHeader(): void {}
    abort(): void {}
    send(): void {
      queueMicrotask(() => this.dispatchEvent(new Event(taken ? 'load' : 'error')));
    }
  }
  vi.stubGlobal('XMLHttpRequest', Request);
  const c = composeOf('d5');
  const view = render(Composer, { line: store.timeline('d5'), room: detail('d5') });
  c.attach([new File(['abc'], 'a.txt', { type: 'text/plain' })]);
  await vi.waitFor(() => expect(c.broken).toBe(true));
  taken = true;
  const again = await vi.waitFor(() => view.getByRole('button', { name: 'Hand a.txt over again' }));
  again.click();
  await vi.waitFor(() => expect(c.files[0]?.id).toBe('f1'));
  expect(c.broken).toBe(false);
});

test('what disappears is no longer what is answered', async () => {
  node(() => Response.json({ text: '' }));
  const c = composeOf('d6');
  c.replyTo = said('1', { room: 'd6', text: 'secret' });
  const view = render(Composer, { line: store.timeline('d6'), room: detail('d6') });
  expect(view.container.textContent).toContain('secret');
  store.apply(event('message.expired', { room: 'd6', message: 'm1' }));
  await vi.waitFor(() => expect(view.container.textContent).not.toContain('secret'));
});

test('what is written while an edit is saved is not lost', async () => {
  let answer: ((response: Response) => void) | undefined;
  node((a) => (a.method === 'PATCH' ? new Promise((resolve) => (answer = resolve)) : Response.json({ text: '' })));
  const c = composeOf('d4');
  const m = said('1', { room: 'd4', text: 'old' });
  const { area } = shown('d4');
  c.edit(m);
  c.text = 'new';
  enter(area);
  await vi.waitFor(() => expect(answer).toBeDefined());
  c.edit(said('2', { room: 'd4', text: 'another' }));
  c.text = 'another, changed a lot';
  answer!(Response.json({ ...m, text: 'new' }));
  await new Promise((resolve) => setTimeout(resolve));
  expect(c.text).toBe('another, changed a lot');
});

test('a draft of another window comes with what it answers, and with its files', async () => {
  const answered = said('77', { room: 'd7', text: 'shall we go?' });
  node((a) => Response.json(a.path.endsWith('/messages/m77') ? answered : { text: '', files: [] }));
  const view = render(Composer, { line: store.timeline('d7'), room: detail('d7') });
  const c = composeOf('d7');
  const files = [{ hash: 'f1', name: 'plan.pdf', bytes: 9, mime: 'application/pdf', state: 'here' }];
  store.apply(event('draft', { room: 'd7', text: 'yes', reply_to: 'm77', files }));
  await vi.waitFor(() => expect(view.container.textContent).toContain('shall we go?'));
  expect(view.container.textContent).toContain('plan.pdf');
  expect([c.text, c.handed]).toEqual(['yes', ['f1']]);
  store.apply({ ...event('draft', { room: 'd7', text: 'yes', files: [] }), seq: 2 } as never);
  await vi.waitFor(() => expect([c.replyTo, c.files]).toEqual([null, []]));
});

test('what is answered and what was handed over are kept with the draft', async () => {
  const asked = node((a) => Response.json(a.path.endsWith('/draft') ? { text: '', files: [] } : {}));
  shown('d8');
  const c = composeOf('d8');
  await vi.waitFor(() => expect(drafts(asked)).toEqual(['GET']));
  c.replyTo = said('77', { room: 'd8' });
  c.restore([{ hash: 'f1', name: 'a.txt', bytes: 1, mime: 'text/plain' }]);
  await vi.waitFor(() => expect(asked.at(-1)?.body).toEqual({ text: '', reply_to: 'm77', files: ['f1'] }));
});

test('a file that the node has no more goes out of the draft, and the words stay', async () => {
  const asked = node((a) =>
    a.method === 'PUT' && JSON.stringify(a.body).includes('f1')
      ? refused('file_not_found', 404)
      : Response.json({ text: 'see', files: [{ hash: 'f1', name: 'a.txt', bytes: 1, mime: 'text/plain' }] }),
  );
  const { area } = shown('d9');
  await vi.waitFor(() => expect(area.value).toBe('see'));
  write(area, 'see this');
  await vi.waitFor(() => expect(asked.at(-1)).toMatchObject({ method: 'PUT', body: { text: 'see this' } }));
});

/** A node whose draft comes when the test wants it to; the rest is answered at once. */
function slow(): { asked: ReturnType<typeof node>; give: (draft: object) => void } {
  const waiting: ((response: Response) => void)[] = [];
  const asked = node((a) =>
    a.method === 'GET' && a.path.endsWith('/draft')
      ? new Promise((resolve) => waiting.push(resolve))
      : Response.json(a.path.endsWith('/messages') ? { message: 'x' } : {}),
  );
  return { asked, give: (draft) => waiting.shift()!(Response.json(draft)) };
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const puts = (asked: { method: string; body: unknown }[]): unknown[] =>
  asked.filter((a) => a.method === 'PUT').map((a) => a.body);
const plan = { hash: 'f1', name: 'plan.pdf', bytes: 9, mime: 'application/pdf' };

test('what is typed before the draft was read stands behind it, and takes nothing of it away', async () => {
  const { asked, give } = slow();
  const { area } = shown('d10');
  await vi.waitFor(() => expect(drafts(asked)).toEqual(['GET']));
  write(area, 'a');
  await pause(700);
  expect(drafts(asked)).toEqual(['GET']);
  give({ text: 'a long letter', files: [plan] });
  await vi.waitFor(() => expect(area.value).toBe('a long letter\na'));
  await vi.waitFor(() => expect(puts(asked)).toEqual([{ text: 'a long letter\na', reply_to: null, files: ['f1'] }]));
});

test('what is sent, or a room that is left, before the draft was read deletes nothing of it', async () => {
  const { asked, give } = slow();
  const { area, leave } = shown('d11');
  await vi.waitFor(() => expect(drafts(asked)).toEqual(['GET']));
  write(area, 'quickly said');
  await pause(700);
  enter(area);
  leave();
  await pause(0);
  expect(drafts(asked)).toEqual(['GET']);
  give({ text: 'a long letter', files: [plan] });
  const again = shown('d11');
  await vi.waitFor(() => expect(again.area.value).toBe('a long letter'));
  expect(composeOf('d11').handed).toEqual(['f1']);
  expect(drafts(asked)).toEqual(['GET']);
});

test('while a message is edited the draft is sent in another window: it does not come back after the edit', async () => {
  node(() => Response.json({ text: '', files: [] }));
  const { area } = shown('d12');
  const c = composeOf('d12');
  await vi.waitFor(() => expect(c.read).toBe(true));
  store.apply(event('draft', { room: 'd12', text: 'soon sent', files: [] }));
  await vi.waitFor(() => expect(area.value).toBe('soon sent'));
  c.edit(said('12', { room: 'd12', text: 'old' }));
  store.apply({ ...event('draft', { room: 'd12', text: '', files: [] }), seq: 2 } as never);
  await vi.waitFor(() => expect(c.aside).toBe(''));
  expect(c.text).toBe('old');
  c.stopEditing();
  await vi.waitFor(() => expect(area.value).toBe(''));
});

test('in a thread nothing offers to attach, and what is pasted is refused in words', async () => {
  vi.stubGlobal('MediaRecorder', vi.fn());
  node(() => Response.json({}));
  const line = store.thread('d13', 'root');
  const view = render(Composer, { line, room: detail('d13') });
  const buttons = view.getAllByRole('button').map((b) => b.getAttribute('aria-label'));
  expect(buttons).not.toContain('Attach files');
  expect(buttons).not.toContain('Record a voice message');
  const files = [new File(['abc'], 'a.txt')];
  const paste = Object.assign(new Event('paste', { bubbles: true, cancelable: true }), { clipboardData: { files } });
  view.container.querySelector('textarea')!.dispatchEvent(paste);
  expect(paste.defaultPrevented).toBe(true);
  view.component.attach(files);
  expect(composeOf('root').files).toEqual([]);
  expect(toasts.list.map((toast) => toast.text)).toContain(
    'Files cannot be sent in a thread. Answer with them in the room.',
  );
});

test('what is dropped on a thread is refused in words, and the browser does not open it', async () => {
  node(() => Response.json({ items: [] }));
  for (const toast of toasts.list) toasts.drop(toast.id);
  const line = store.thread('d14', 'root2');
  const { container } = render(Conversation, { line, room: detail('d14'), inThread: true });
  const dataTransfer = { types: ['Files'], files: [new File(['abc'], 'a.txt')] };
  const drop = Object.assign(new Event('drop', { bubbles: true, cancelable: true }), { dataTransfer });
  container.querySelector('.conversation')!.dispatchEvent(drop);
  expect(drop.defaultPrevented).toBe(true);
  expect(composeOf('root2').files).toEqual([]);
  expect(toasts.list.map((toast) => toast.text).join()).toContain('cannot be sent in a thread');
});
