// What stands in the timeline: messages in groups, days, the line above the first unread, what is on its way.
import type { Message } from '../api/types';
import type { Pending } from './outgoing';

export type Row =
  | { kind: 'begin'; key: string }
  | { kind: 'day'; key: string; at: string }
  | { kind: 'unread'; key: string }
  | { kind: 'between'; key: string }
  | { kind: 'note'; key: string; message: Message; count: number }
  | { kind: 'message'; key: string; message: Message; first: boolean; last: boolean; own: boolean }
  | { kind: 'pending'; key: string; pending: Pending; first: boolean };

/** Messages of one author within so many milliseconds stand together. */
const TOGETHER_MS = 5 * 60_000;

export interface RowsOf {
  items: readonly Message[];
  pending: readonly Pending[];
  me: string;
  /** The line goes above the first message of others from here on. */
  unreadFrom: string | null;
  /** Whether the first item is the first of the room. */
  begins: boolean;
  /** Whether the last item is the last of the room: then what is on its way stands below. */
  ends: boolean;
}

/** Of a message, so that each is looked at once. */
const moments = new WeakMap<Message, { day: string; ms: number }>();

function momentOf(message: Message): { day: string; ms: number } {
  let known = moments.get(message);
  if (!known) {
    known = { day: dayOf(message.sent_at), ms: Date.parse(message.sent_at) };
    moments.set(message, known);
  }
  return known;
}

/** The calendar day of a moment where the reader is, as text that compares. */
export function dayOf(at: string): string {
  const d = new Date(at);
  return `${d.getFullYear()}-${d.getMonth()}-${d.getDate()}`;
}

function together(a: Message | undefined, b: Message): boolean {
  return (
    a !== undefined &&
    a.kind !== 'system' &&
    b.kind !== 'system' &&
    a.author.account === b.author.account &&
    Math.abs(momentOf(b).ms - momentOf(a).ms) < TOGETHER_MS &&
    momentOf(a).day === momentOf(b).day
  );
}

/** The same thing happened again: one line tells it, with how often. */
function same(a: Message, b: Message): boolean {
  return (
    a.system?.what === b.system?.what &&
    a.system?.by.account === b.system?.by.account &&
    a.system?.counts === b.system?.counts &&
    a.text === b.text
  );
}

export function rowsOf(of: RowsOf): Row[] {
  const rows: Row[] = [];
  if (of.begins) rows.push({ kind: 'begin', key: 'begin' });
  let line = of.unreadFrom === null;
  // Whether all that was said up to here is there. Notes say nothing of that: what members did is here before what they said.
  let whole = of.begins;
  let gap = false;
  of.items.forEach((message, i) => {
    const before = of.items[i - 1];
    const after = of.items[i + 1];
    if (!before || momentOf(before).day !== momentOf(message).day) {
      rows.push({
        kind: 'day',
        key: `day ${momentOf(message).day} ${rows.length === 0 ? '' : message.message}`,
        at: message.sent_at,
      });
    }
    const own = message.author.account === of.me;
    let broken = false;
    // The newest messages are here before those between.
    if (message.early && whole && !gap) {
      gap = true;
      broken = true;
      rows.push({ kind: 'between', key: `between ${message.message}` });
    }
    if (message.kind !== 'system') whole = !message.early;
    if (!line && message.order >= of.unreadFrom! && !own && message.kind !== 'system') {
      line = true;
      broken = true;
      rows.push({ kind: 'unread', key: 'unread' });
    }
    if (message.kind === 'system') {
      const above = rows[rows.length - 1];
      if (above?.kind === 'note' && same(above.message, message))
        rows[rows.length - 1] = { ...above, count: above.count + 1 };
      else rows.push({ kind: 'note', key: message.message, message, count: 1 });
      return;
    }
    rows.push({
      kind: 'message',
      key: message.message,
      message,
      own,
      first: broken || !together(before, message),
      last: !after || !together(message, after) || (after.early === true && !message.early),
    });
  });
  if (of.ends) {
    const seen = of.pending.filter((p) => !p.hidden);
    seen.forEach((pending, i) => rows.push({ kind: 'pending', key: pending.clientId, pending, first: i === 0 }));
  }
  return rows;
}

/** The same rows, as the objects that are drawn already where nothing of them changed. */
export function keepDrawn(drawn: readonly Row[], rows: Row[]): Row[] {
  const known = new Map(drawn.map((row) => [row.key, row]));
  return rows.map((row) => {
    const was = known.get(row.key);
    return was && alike(was, row) ? was : row;
  });
}

function alike(a: Row, b: Row): boolean {
  const [one, other] = [a, b] as unknown as Record<string, unknown>[];
  return Object.keys(other!).every((key) => one![key] === other![key]);
}

/** Up to which message everything is read when the row `until` is seen. What is here early counts only with what is still missing before it. */
export function lastRead(rows: readonly Row[], until: number): Message | undefined {
  const gap = rows.findIndex((row) => row.kind === 'message' && row.message.early);
  const seen = rows.slice(0, Math.min(until + 1, gap < 0 ? rows.length : gap));
  const last = seen.findLast((row) => row.kind === 'message');
  return last?.kind === 'message' ? last.message : undefined;
}
