// What is written here: in which order it goes out, what is tried again, and how long its row stands.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { event, node, refused, type Asked } from '../api/asked';
import { said } from './said';
import { Store } from './store.svelte';
import { Timeline } from './timeline.svelte';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const ID = 'a'.repeat(64);
const own = (text: string, message = ID) =>
  event('message', said('7', { message, text, author: { account: 'me', name: 'Me' } as never }));
const words = (asked: Asked[]): string[] =>
  asked.filter((a) => a.method === 'POST').map((a) => (a.body as { text: string }).text);
const taken = (): Response => Response.json({ message: ID, status: 'sent' });

/** A node that gives empty pages, and to what is handed in what the test says. */
const takes = (give: () => Response | Promise<Response>): Asked[] =>
  node((a) => (a.method === 'POST' ? give() : Response.json({ items: [] })));

async function opened(line = new Timeline('r', () => 'me')): Promise<Timeline> {
  await line.open({ kind: 'end' });
  return line;
}

test('what waited for the node goes out in the order in which it was written', async () => {
  let away = true;
  const asked = takes(() => {
    if (away) throw new TypeError('away');
    return taken();
  });
  const line = await opened();
  line.send('A', [], null);
  await vi.advanceTimersByTimeAsync(1_000);
  line.send('B', [], null);
  await vi.advanceTimersByTimeAsync(1_500);
  away = false;
  asked.length = 0;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(words(asked)).toEqual(['A', 'B']);
});

test('a room and its threads are one queue', async () => {
  let answer: ((response: Response) => void) | undefined;
  const asked = takes(() => (words(asked).length > 1 ? taken() : new Promise((resolve) => (answer = resolve))));
  const store = new Store();
  const [line, thread] = [await opened(store.timeline('r')), await opened(store.thread('r', 'root'))];
  line.send('in the room', [], null);
  thread.send('in the thread', [], null);
  await vi.advanceTimersByTimeAsync(100);
  expect(words(asked)).toEqual(['in the room']);
  answer!(taken());
  await vi.advanceTimersByTimeAsync(100);
  expect(words(asked)).toEqual(['in the room', 'in the thread']);
});

test('what is refused for good lets the next one pass', async () => {
  let first = true;
  const asked = takes(() => {
    const refuse = first;
    first = false;
    return refuse ? refused('too_long', 413) : taken();
  });
  const line = await opened();
  line.send('A', [], null);
  line.send('B', [], null);
  await vi.advanceTimersByTimeAsync(100);
  expect(words(asked)).toEqual(['A', 'B']);
  expect(line.pending.map((p) => [p.text, p.state])).toContainEqual(['A', 'failed']);
});

test.each([
  ['disk_full', 507],
  ['home_damaged', 500],
  ['home_denied', 500],
  ['internal', 500],
  ['not_yet', 501],
])('%s is said, and not tried again for ever', async (code, status) => {
  const asked = takes(() => refused(code, status));
  const line = await opened();
  line.send('A', [], null);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(words(asked)).toHaveLength(1);
  expect(line.pending[0]).toMatchObject({ state: 'failed' });
  expect(line.pending[0]!.reason.toLowerCase()).toContain(code);
});

test.each([
  ['busy', 503],
  ['stopping', 503],
  ['no_node', 503],
  ['passphrase_needed', 503],
  ['timed_out', 504],
  ['rate_limited', 429],
  ['unauthorized', 401],
])('%s passes: it is tried again by itself', async (code, status) => {
  const asked = takes(() => refused(code, status));
  const line = await opened();
  line.send('A', [], null);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(words(asked).length).toBeGreaterThan(1);
  expect(line.pending[0]).toMatchObject({ state: 'waiting' });
});

test('what the node took stands there until its message is held, however late that is told', async () => {
  takes(taken);
  const line = await opened();
  line.send('A', [], null);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(line.pending.map((p) => p.text)).toEqual(['A']);
  line.hear(own('A'));
  expect(line.pending).toEqual([]);
});

test('what the node took and a page that was asked for later does not hold is gone', async () => {
  takes(taken);
  const line = await opened();
  line.send('A', [], null);
  await vi.advanceTimersByTimeAsync(100);
  await line.open({ kind: 'end' });
  expect(line.pending).toEqual([]);
  line.send('B', [], null);
  await vi.advanceTimersByTimeAsync(100);
  line.hear(event('message.expired', { room: 'r', message: ID }));
  expect(line.pending).toEqual([]);
});

test('an equal message of another device hides nothing that was not handed in yet', async () => {
  takes(() => new Promise(() => undefined));
  const line = await opened();
  line.send('long', [], null);
  line.send('ok', [], null);
  await vi.advanceTimersByTimeAsync(100);
  line.hear(own('ok'));
  expect(line.pending.map((p) => p.hidden)).toEqual([false, false]);
});
