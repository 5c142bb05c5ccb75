// What is heard while a page of the history is on its way is not lost, whichever comes first.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { event, node, refused } from '../api/asked';
import type { Message } from '../api/types';
import { said } from './said';
import { Timeline } from './timeline.svelte';

const message = (order: string, text: string): Message => said(order, { text });

/** Answers that the test gives when it wants to. */
function answers(): ((page: object) => void)[] {
  const given: ((page: object) => void)[] = [];
  vi.stubGlobal('fetch', () => new Promise((resolve) => given.push((page) => resolve(Response.json(page)))));
  return given;
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const texts = (line: Timeline): string[] => line.held.items.map((m) => m.text);

describe('a room in the page', () => {
  test('shows what came while its first page was on its way', async () => {
    const given = answers();
    const line = new Timeline('r', () => 'me');
    const opened = line.open({ kind: 'end' });
    await vi.waitFor(() => expect(given).toHaveLength(1));
    line.hear(event('message', message('2', 'came meanwhile')));
    given[0]!({ items: [message('1', 'was there')] });
    await opened;
    expect(texts(line)).toEqual(['was there', 'came meanwhile']);
  });

  test('reads on behind an empty page of what can not be read here, and is at its end all the same', async () => {
    const given = answers();
    const line = new Timeline('r', () => 'me');
    const opened = line.open({ kind: 'end' });
    await vi.waitFor(() => expect(given).toHaveLength(1));
    given[0]!({ items: [], older: '9' });
    await vi.waitFor(() => expect(given).toHaveLength(2));
    given[1]!({ items: [message('5', 'old')], older: '5', newer: '5' });
    await opened;
    expect([texts(line), line.atEnd, line.held.older]).toEqual([['old'], true, '5']);
    const older = line.loadOlder();
    await vi.waitFor(() => expect(given).toHaveLength(3));
    given[2]!({ items: [], older: '3', newer: '5' });
    await vi.waitFor(() => expect(given).toHaveLength(4));
    given[3]!({ items: [message('1', 'oldest')], newer: '1' });
    await older;
    expect([texts(line), line.atEnd, line.held.older]).toEqual([['oldest', 'old'], true, null]);
  });

  test('shows an edit that came while an older page was on its way', async () => {
    const given = answers();
    const line = new Timeline('r', () => 'me');
    const opened = line.open({ kind: 'end' });
    await vi.waitFor(() => expect(given).toHaveLength(1));
    given[0]!({ items: [message('2', 'new')], older: '2' });
    await opened;
    const older = line.loadOlder();
    await vi.waitFor(() => expect(given).toHaveLength(2));
    line.hear(event('message.updated', message('1', 'edited')));
    given[1]!({ items: [message('1', 'as it was')] });
    await older;
    expect(texts(line)).toEqual(['edited', 'new']);
    expect(line.shift).toBe(true);
  });

  test('shows the newest messages before those between, and each once in its place', async () => {
    const given = answers();
    const line = new Timeline('r', () => 'me');
    const opened = line.open({ kind: 'end' });
    await vi.waitFor(() => expect(given).toHaveLength(1));
    given[0]!({ items: [message('1', 'first')] });
    await opened;
    const came = line.newestCame();
    await vi.waitFor(() => expect(given).toHaveLength(2));
    line.hear(event('message', message('2', 'second')));
    given[1]!({ items: [said('9', { text: 'last', early: true }), message('1', 'first')], older: '1' });
    await came;
    expect(texts(line)).toEqual(['first', 'second', 'last']);
    line.hear(event('message', message('3', 'third')));
    line.hear(event('message', message('9', 'last')));
    expect(texts(line)).toEqual(['first', 'second', 'third', 'last']);
    expect(line.held.items.some((m) => m.early)).toBe(false);
  });

  test('has nothing left of what disappeared, also not where it was quoted', async () => {
    const reply = {
      message: 'm1',
      author: { account: 'b', name: 'B' },
      kind: 'text' as const,
      text: 'secret',
      deleted: false,
    };
    node(() => Response.json({ items: [said('1', { text: 'secret' }), said('2', { reply_to: 'm1', reply })] }));
    const line = new Timeline('r', () => 'me');
    await line.open({ kind: 'end' });
    line.hear(event('message.expired', { room: 'r', message: 'm1' }));
    expect(JSON.stringify(line.held)).not.toContain('secret');
  });

  test('shows a message that fails after an equal one of another device came', async () => {
    let answer: ((response: Response) => void) | undefined;
    node((a) => (a.method === 'POST' ? new Promise((resolve) => (answer = resolve)) : Response.json({ items: [] })));
    const line = new Timeline('r', () => 'me');
    await line.open({ kind: 'end' });
    line.send('ok', [], null);
    await vi.waitFor(() => expect(answer).toBeDefined());
    line.hear(event('message', said('7', { text: 'ok', author: { account: 'me', name: 'Me' } as never })));
    // Shown once while nobody knows whether it is this one.
    expect(line.pending.map((p) => p.hidden)).toEqual([true]);
    answer!(refused('too_long', 400));
    await vi.waitFor(() => expect(line.pending[0]).toMatchObject({ hidden: false, state: 'failed' }));
  });

  test('keeps what waits for keys until it is a message', async () => {
    // The node answers the number of the wish, for there is no message yet.
    node((a) =>
      Response.json(
        a.method === 'POST' ? { message: '00112233445566778899aabbccddeeff', status: 'queued' } : { items: [] },
      ),
    );
    const line = new Timeline('r', () => 'me');
    await line.open({ kind: 'end' });
    line.send('a long thought', [], null);
    await vi.waitFor(() => expect(line.pending[0]?.state).toBe('kept'));
    line.hear(event('message', said('7', { text: 'a long thought', author: { account: 'me', name: 'Me' } as never })));
    expect(line.pending).toEqual([]);
    expect(texts(line)).toEqual(['a long thought']);
  });

  test('tells of what comes behind all others only, and not of what is last because another one disappeared', async () => {
    node(() => Response.json({ items: [message('3', 'one'), message('5', 'two')] }));
    const line = new Timeline('r', () => 'me');
    const told: string[] = [];
    line.whenArrived = (m) => told.push(m.text);
    await line.open({ kind: 'end' });
    line.hear(event('message.expired', { room: 'r', message: 'm5' }));
    line.hear(event('message', message('2', 'late')));
    line.hear(event('message.updated', message('3', 'edited')));
    line.hear(event('message', message('7', 'new')));
    line.hear(event('message', message('7', 'new')));
    expect(told).toEqual(['new']);
  });

  test('shows all that is here before those between, also where that is more than a page', async () => {
    const early = (order: string): Message => said(order, { early: true });
    const pages: Record<string, object> = {
      '': { items: [early('7'), early('8')], older: '7' },
      '7': { items: [early('5'), early('6')], older: '5', newer: '6' },
      '5': { items: [message('1', 'first'), early('4')], older: '1', newer: '4' },
    };
    let begun = false;
    vi.stubGlobal('fetch', (request: Request) => {
      const before = new URL(request.url).searchParams.get('before') ?? '';
      return Promise.resolve(Response.json(begun ? pages[before]! : { items: [message('1', 'first')] }));
    });
    const line = new Timeline('r', () => 'me');
    await line.open({ kind: 'end' });
    begun = true;
    await line.newestCame();
    expect(line.held.items.map((m) => m.order)).toEqual(['1', '4', '5', '6', '7', '8']);
    expect([line.held.older, line.atEnd]).toEqual([null, true]);
  });

  test('holds what the reader looks at, whatever comes at the other end', async () => {
    const line = await long(1_240);
    line.inSight = order(3);
    line.hear(event('message', said(order(1_240))));
    await vi.waitFor(() => expect(line.held.items).toHaveLength(1_000));
    expect([line.held.items[0]!.order, line.held.older, line.atEnd]).toEqual([order(0), order(0), false]);
    // What comes now stands behind what is held no more.
    line.hear(event('message', said(order(1_241))));
    expect(line.held.items).toHaveLength(1_000);
  });

  test('lets the oldest go for who reads the newest, also when an older page comes', async () => {
    const line = await long(1_230);
    line.inSight = order(1_229);
    node(() => Response.json({ items: [said('0-1'), said('0-2')].reverse().concat(twenty()), older: null }));
    await line.loadOlder();
    await vi.waitFor(() => expect(line.held.items).toHaveLength(1_000));
    expect([line.held.items[0]!.order, line.held.older, line.atEnd]).toEqual([order(230), order(230), true]);
  });

  test('joins no page to what it was not asked for: what lay between would be missing and nothing said so', async () => {
    const line = await long(1_240);
    const given = answers();
    const older = line.loadOlder();
    await vi.waitFor(() => expect(given).toHaveLength(1));
    line.inSight = order(1_239);
    line.hear(event('message', said(order(1_240))));
    await vi.waitFor(() => expect(line.held.items).toHaveLength(1_000));
    given[0]!({ items: [said('0-1')], older: null });
    await older;
    expect([line.held.items[0]!.order, line.held.older]).toEqual([order(241), order(241)]);
    const newer = await long(1_240, order(1_239));
    const late = answers();
    const asked = newer.loadNewer();
    await vi.waitFor(() => expect(late).toHaveLength(1));
    newer.held = { ...newer.held, items: newer.held.items.slice(0, 1_000), newer: order(999) };
    late[0]!({ items: [said(order(1_240))], newer: null });
    await asked;
    expect([newer.held.items.at(-1)!.order, newer.held.newer]).toEqual([order(999), order(999)]);
  });
});

/** So that they sort as they are counted. */
const order = (n: number): string => `1-${String(n).padStart(5, '0')}`;
const twenty = (): Message[] => Array.from({ length: 18 }, (_, n) => said(`0-${n + 10}`));

/** A room that was read back for long. */
async function long(messages: number, newer: string | null = null): Promise<Timeline> {
  node(() => Response.json({ items: [] }));
  const line = new Timeline('r', () => 'me');
  await line.open({ kind: 'end' });
  line.held = { items: Array.from({ length: messages }, (_, n) => said(order(n))), older: order(0), newer };
  return line;
}
