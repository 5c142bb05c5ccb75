// What stands in the timeline.
import { expect, test } from 'vitest';
import type { Message } from '../api/types';
import { said as made } from './said';
import { keepDrawn, lastRead, rowsOf, type Row } from './rows';

function said(n: number, who: string, at: string, more: Partial<Message> = {}): Message {
  const order = String(n).padStart(4, '0');
  return made(order, { message: `m${n}`, author: { account: who, name: who }, sent_at: at, ...more });
}
const of = (items: Message[], unreadFrom: string | null = null): string[] =>
  rowsOf({ items, pending: [], me: 'me', unreadFrom, begins: false, ends: true }).map((r) =>
    r.kind === 'message' ? `${r.message.message}${r.first ? ' first' : ''}${r.last ? ' last' : ''}` : r.kind,
  );

test('messages of one author within minutes stand together, those of others do not', () => {
  expect(
    of([
      said(1, 'bob', '2026-05-01T10:00:00Z'),
      said(2, 'bob', '2026-05-01T10:01:00Z'),
      said(3, 'me', '2026-05-01T10:02:00Z'),
      said(4, 'me', '2026-05-01T10:30:00Z'),
    ]),
  ).toEqual(['day', 'm1 first', 'm2 last', 'm3 first last', 'm4 first last']);
});

test('a new day has a heading', () => {
  expect(of([said(1, 'bob', '2026-05-01T10:00:00Z'), said(2, 'bob', '2026-05-03T10:00:00Z')])).toEqual([
    'day',
    'm1 first last',
    'day',
    'm2 first last',
  ]);
});

test('the line of the first unread stands above a message of somebody else, once', () => {
  const items = [
    said(1, 'bob', '2026-05-01T10:00:00Z'),
    said(2, 'me', '2026-05-01T10:00:10Z'),
    said(3, 'bob', '2026-05-01T10:00:20Z'),
    said(4, 'bob', '2026-05-01T10:00:30Z'),
  ];
  expect(of(items, '0002')).toEqual(['day', 'm1 first last', 'm2 first last', 'unread', 'm3 first', 'm4 last']);
});

test('where the newest messages begin that are here before those between, a line says so', () => {
  const items = [
    said(1, 'bob', '2026-05-01T10:00:00Z'),
    said(7, 'bob', '2026-05-01T10:00:10Z', { early: true }),
    said(8, 'bob', '2026-05-01T10:00:20Z', { early: true }),
  ];
  expect(of(items)).toEqual(['day', 'm1 first last', 'between', 'm7 first', 'm8 last']);
  expect(of(items.slice(1))).toEqual(['day', 'm7 first', 'm8 last']);
});

test('the line at the gap stands also where a note is above the newest messages', () => {
  const note = said(2, 'bob', '2026-05-01T10:00:05Z', { kind: 'system', text: 'bob joined' });
  const items = [
    said(1, 'bob', '2026-05-01T10:00:00Z'),
    note,
    said(7, 'bob', '2026-05-01T10:00:10Z', { early: true }),
    said(8, 'bob', '2026-05-01T10:00:20Z', { early: true }),
  ];
  expect(of(items)).toEqual(['day', 'm1 first last', 'note', 'between', 'm7 first', 'm8 last']);
  // Also for who came in just now, and has nothing of before.
  const rows = rowsOf({ items: items.slice(1), pending: [], me: 'me', unreadFrom: null, begins: true, ends: true });
  expect(rows.map((r) => r.kind)).toEqual(['begin', 'day', 'note', 'between', 'message', 'message']);
});

test('an answer to what is here early does not make read what is still missing before it', () => {
  const items = [
    said(1, 'bob', '2026-05-01T10:00:00Z'),
    said(7, 'bob', '2026-05-01T10:00:10Z', { early: true }),
    said(8, 'me', '2026-05-01T10:00:20Z'),
  ];
  const read = (list: Message[], until: number): string | undefined =>
    lastRead(rowsOf({ items: list, pending: [], me: 'me', unreadFrom: null, begins: false, ends: true }), until)
      ?.message;
  expect(read(items, 9)).toBe('m1');
  expect(read(items.slice(1), 9)).toBe(undefined);
  expect(read([items[0]!, items[2]!], 9)).toBe('m8');
  expect(read([items[0]!, items[2]!], 1)).toBe('m1');
});

test('the line between stands below notes, and once, also when something of later is here', () => {
  const note = said(2, 'bob', '2026-05-01T10:00:05Z', {
    kind: 'system',
    text: 'bob made an invite',
    system: { what: 'invited', by: { account: 'bob', name: 'bob' }, counts: true },
  });
  const items = [
    said(1, 'bob', '2026-05-01T10:00:00Z'),
    note,
    said(7, 'bob', '2026-05-01T10:00:10Z', { early: true }),
    said(8, 'eve', '2026-05-01T10:00:20Z'),
    said(9, 'bob', '2026-05-01T10:00:30Z', { early: true }),
  ];
  const rows = rowsOf({ items, pending: [], me: 'me', unreadFrom: null, begins: false, ends: true });
  expect(rows.map((row) => row.kind)).toEqual(['day', 'message', 'note', 'between', 'message', 'message', 'message']);
});

test('every row has a key of its own', () => {
  const items = [
    said(1, 'bob', '2026-05-01T10:00:00Z'),
    said(2, 'bob', '2026-05-03T10:00:00Z'),
    said(3, 'bob', '2026-05-01T10:00:00Z'),
  ];
  const keys = rowsOf({ items, pending: [], me: 'me', unreadFrom: '0001', begins: true, ends: true }).map((r) => r.key);
  expect(new Set(keys).size).toBe(keys.length);
});

test('what happened several times in a row is one line, with how often', () => {
  const note = (n: number, by: string): Message =>
    said(n, by, '2026-05-01T10:00:00Z', {
      kind: 'system',
      text: `${by} made an invite`,
      system: { what: 'invited', by: { account: by, name: by }, counts: true },
    });
  const rows = rowsOf({
    items: [note(1, 'bob'), note(2, 'bob'), note(3, 'bob'), note(4, 'eve')],
    pending: [],
    me: 'me',
    unreadFrom: null,
    begins: false,
    ends: true,
  });
  expect(rows.map((r) => (r.kind === 'note' ? `${r.key} ${r.count}` : r.kind))).toEqual(['day', 'm1 3', 'm4 1']);
});

test('rows of which nothing changed stay the objects that are drawn', () => {
  const [a, b] = [said(1, 'bob', '2026-05-01T10:00:00Z'), said(2, 'bob', '2026-05-01T10:01:00Z')];
  const rows = (items: Message[]): Row[] =>
    rowsOf({ items, pending: [], me: 'me', unreadFrom: null, begins: false, ends: true });
  const before = rows([a, b]);
  const after = keepDrawn(before, rows([a, { ...b, text: 'edited' }]));
  expect(after.map((row, i) => row === before[i])).toEqual([true, true, false]);
  // It is the last of its group no more.
  const more = keepDrawn(after, rows([a, b, said(3, 'bob', '2026-05-01T10:02:00Z')]));
  expect(more[1]).toBe(before[1]);
  expect(more[2]).toMatchObject({ kind: 'message', last: false });
});
