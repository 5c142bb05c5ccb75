// The stretch of a history that a window holds: whatever comes in whatever order, the same must come out.
import { describe, expect, test } from 'vitest';
import type { Message } from '../api/types';
import { said as made } from './said';
import {
  EMPTY,
  HELD,
  append,
  fileCame,
  further,
  onItsWay,
  prepend,
  receive,
  remove,
  replace,
  stretch,
  type Stretch,
} from './window';

function said(n: number, more: Partial<Message> = {}): Message {
  return made(String(n).padStart(8, '0'), {
    message: `m${n}`,
    text: `text ${n}`,
    sent_at: new Date(n * 1000).toISOString(),
    status: 'queued',
    recipients: 2,
    ...more,
  });
}

const ids = (held: Stretch): string[] => held.items.map((m) => m.message);
const range = (from: number, to: number): Message[] => Array.from({ length: to - from }, (_, i) => said(from + i));

/** All orders of a short list. */
function orders<T>(list: readonly T[]): T[][] {
  if (list.length < 2) return [[...list]];
  return list.flatMap((one, i) => orders([...list.slice(0, i), ...list.slice(i + 1)]).map((rest) => [one, ...rest]));
}

describe('a stretch of history', () => {
  test('holds messages in the order of the room, whatever order they come in', () => {
    for (const order of orders(range(1, 6))) {
      const held = order.reduce((h, m) => receive(h, m), EMPTY);
      expect(ids(held)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
    }
  });

  test('holds a message once, although a page and an event bring it', () => {
    const held = receive(append(stretch({ items: range(1, 4).reverse() }), { items: range(2, 6) }), said(3));
    expect(ids(held)).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
  });

  test('has no gap: what is newer than its end is not taken while pages between are missing', () => {
    const held: Stretch = { items: range(1, 4), older: null, newer: 'cursor' };
    expect(receive(held, said(99))).toBe(held);
  });

  test('has no gap: what is older than its beginning is not taken while pages between are missing', () => {
    const held: Stretch = { items: range(5, 8), older: 'cursor', newer: null };
    expect(receive(held, said(1))).toBe(held);
  });

  test('takes a late message into its middle', () => {
    const held: Stretch = { items: [said(1), said(3)], older: 'o', newer: null };
    expect(ids(receive(held, said(2)))).toEqual(['m1', 'm2', 'm3']);
  });

  test('lets the newest go when older pages make it too long, and knows that they are missing', () => {
    const held = prepend(
      { items: range(HELD, 2 * HELD), older: 'o', newer: null },
      { items: range(HELD - 60, HELD).reverse(), older: 'p' },
    );
    expect(held.items).toHaveLength(HELD);
    expect(held.items[0]!.message).toBe(`m${HELD - 60}`);
    expect(held.newer).toBe(held.items[HELD - 1]!.order);
    expect(held.older).toBe('p');
  });

  test('lets the oldest go when newer pages make it too long, and knows that they are missing', () => {
    const held = append(
      { items: range(0, HELD), older: null, newer: 'n' },
      { items: range(HELD, HELD + 60).reverse(), newer: null },
    );
    expect(held.items).toHaveLength(HELD);
    expect(held.older).toBe(held.items[0]!.order);
    expect(held.newer).toBeNull();
  });

  test('an open end stays within its bound while messages come for hours', () => {
    let held: Stretch = { items: [], older: null, newer: null };
    for (let n = 1; n <= HELD + 500; n++) held = receive(held, said(n));
    expect(held.items).toHaveLength(HELD);
    expect(held.older).not.toBeNull();
  });
});

describe('what is said about a message', () => {
  const words = [
    { message: 'm1', status: 'sent' as const, delivered_to: 0, read_by: 0 },
    { message: 'm1', status: 'delivered' as const, delivered_to: 1, read_by: 0 },
    { message: 'm1', status: 'delivered' as const, delivered_to: 2, read_by: 0 },
    { message: 'm1', status: 'read' as const, delivered_to: 2, read_by: 1 },
  ];

  test('its way goes forward only, in any order of the words', () => {
    for (const order of orders(words)) {
      const held = order.reduce((h, w) => onItsWay(h, w), receive(EMPTY, said(1)));
      expect(held.items[0]).toMatchObject({ status: 'read', delivered_to: 2, read_by: 1 });
    }
  });

  test('a failure shows, and gives way once it was sent after all', () => {
    const failed = onItsWay(receive(EMPTY, said(1)), {
      message: 'm1',
      status: 'failed',
      delivered_to: 0,
      read_by: 0,
      reason: 'no',
    });
    expect(failed.items[0]).toMatchObject({ reason: 'no' });
    expect(onItsWay(failed, words[1]!).items[0]).toMatchObject({ status: 'delivered', reason: null });
    expect(further('failed', 'queued')).toBe('queued');
  });

  test('an edit changes the text, the answers that quote it, and not how far it came', () => {
    const quoting = said(2, {
      reply_to: 'm1',
      reply: { message: 'm1', author: said(1).author, kind: 'text', text: 'text 1', deleted: false },
    });
    const held = [said(1, { status: 'read', read_by: 2 }), quoting].reduce((h, m) => receive(h, m), EMPTY);
    const after = replace(held, said(1, { text: 'other\n words', status: 'delivered' }));
    expect(after.items[0]).toMatchObject({ text: 'other\n words', status: 'read', read_by: 2 });
    expect(after.items[1]!.reply).toMatchObject({ text: 'other words' });
  });

  test('a deletion empties the quotes of it', () => {
    const quoting = said(2, {
      reply_to: 'm1',
      reply: { message: 'm1', author: said(1).author, kind: 'text', text: 'secret', deleted: false },
    });
    const held = [said(1), quoting].reduce((h, m) => receive(h, m), EMPTY);
    expect(replace(held, said(1, { deleted: true, text: '' })).items[1]!.reply).toMatchObject({
      text: '',
      deleted: true,
    });
  });

  test('what concerns a message that is not held changes nothing', () => {
    const held = receive(EMPTY, said(1));
    expect(onItsWay(held, { ...words[0]!, message: 'other' })).toBe(held);
    expect(ids(remove(held, 'other'))).toEqual(['m1']);
  });

  test('a file comes further and is here', () => {
    const file = { name: 'f', mime: 'x', bytes: 10, hash: 'h', state: 'remote' as const, have: 0 };
    const held = receive(EMPTY, said(1, { kind: 'file', files: [file] }));
    const half = fileCame(held, { message: 'm1', index: 0, have: 5, state: 'fetching' });
    expect(half.items[0]!.files[0]).toMatchObject({ have: 5, state: 'fetching' });
    expect(fileCame(half, { message: 'm1', index: 0, have: 10, state: 'here' }).items[0]!.files[0]!.state).toBe('here');
  });
});

test('a page before or behind all that is held is put there as it is, and one that tells something anew is not told twice', () => {
  const held = stretch({ items: ['5', '6'].map((o) => made(o)), older: '5' });
  const orders = (s: Stretch): string[] => s.items.map((m) => m.order);
  expect(orders(prepend(held, { items: [made('4'), made('3')], older: '3' }))).toEqual(['3', '4', '5', '6']);
  expect(orders(append(held, { items: [made('8'), made('7')] }))).toEqual(['5', '6', '7', '8']);
  // One that was early has its place now: the same message, further up.
  const landed = append(held, { items: [made('2', { message: 'm6' })] });
  expect(landed.items.map((m) => [m.message, m.order])).toEqual([
    ['m6', '2'],
    ['m5', '5'],
  ]);
});
