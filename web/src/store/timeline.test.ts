// What is heard while a page of the history is on its way is not lost, whichever comes first.
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Message, NodeEvent } from '../api/types';
import { said } from './said';
import { Timeline } from './timeline.svelte';

const message = (order: string, text: string): Message => said(order, { text });

const event = (name: string, m: Message): NodeEvent => ({ event: name, seq: 1, at: '', ...m }) as unknown as NodeEvent;

/** Answers that the test gives when it wants to. */
function answers(): ((page: object) => void)[] {
  const given: ((page: object) => void)[] = [];
  vi.stubGlobal('fetch', () => new Promise((resolve) => given.push((page) => resolve(Response.json(page)))));
  return given;
}

afterEach(() => vi.unstubAllGlobals());

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
});
