// The part of a room's history that a window holds: a stretch without gaps, oldest first. Pure functions, so that events may come
// in any order and tests can say what must come out.
import type { FileInfo, Message, MessageStatus } from '../api/types';

export interface Stretch {
  items: readonly Message[];
  /** Cursor for what is older; `null` when this is the beginning. */
  older: string | null;
  /** Cursor for what is newer; `null` when this reaches up to now. */
  newer: string | null;
}

/** How many messages are kept in memory. */
export const HELD = 1_000;
/** So many more before any are let go: not with each page. */
export const SLACK = 240;

export const EMPTY: Stretch = { items: [], older: null, newer: null };

export interface Page {
  items: readonly Message[];
  older?: string | null;
  newer?: string | null;
}

/** A page as the node sends it (newest first) as a stretch. */
export function stretch(page: Page): Stretch {
  return { items: [...page.items].sort(byOrder), older: page.older ?? null, newer: page.newer ?? null };
}

function byOrder(a: Message, b: Message): number {
  return a.order < b.order ? -1 : a.order > b.order ? 1 : 0;
}

/** What two stretches hold together, each message once. Of both versions `fresh` counts. */
function union(old: readonly Message[], fresh: readonly Message[]): Message[] {
  const ids = new Set(old.map((m) => m.message));
  if (!fresh.some((m) => ids.has(m.message))) {
    // A page that goes before or behind all, as most do: nothing of what is held is sorted again.
    const page = [...fresh].sort(byOrder);
    const [first, last] = [page[0]?.order ?? '', page[page.length - 1]?.order ?? ''];
    if (old.length === 0 || first > old[old.length - 1]!.order) return [...old, ...page];
    if (last < old[0]!.order) return [...page, ...old];
  }
  const byId = new Map(old.map((m) => [m.message, m]));
  for (const m of fresh) {
    const known = byId.get(m.message);
    byId.set(m.message, known ? newest(known, m) : m);
  }
  return [...byId.values()].sort(byOrder);
}

/** An older page goes before. */
export function joinOlder(held: Stretch, page: Page): Stretch {
  return { items: union(held.items, page.items), older: page.older ?? null, newer: held.newer };
}

/** A newer page goes behind. */
export function joinNewer(held: Stretch, page: Page): Stretch {
  return { items: union(held.items, page.items), older: held.older, newer: page.newer ?? null };
}

/** If too much is held then the newest are let go. */
export function letNewestGo(held: Stretch): Stretch {
  if (held.items.length <= HELD) return held;
  const items = held.items.slice(0, HELD);
  return { items, older: held.older, newer: items[HELD - 1]!.order };
}

/** If too much is held then the oldest are let go. */
export function letOldestGo(held: Stretch): Stretch {
  if (held.items.length <= HELD) return held;
  const items = held.items.slice(-HELD);
  return { items, older: items[0]!.order, newer: held.newer };
}

/** Both at once. A list on the screen needs them one after the other, or it can not tell what moved. */
export function prepend(held: Stretch, page: Page): Stretch {
  return letNewestGo(joinOlder(held, page));
}

/** Both at once, as [`prepend`]. */
export function append(held: Stretch, page: Page): Stretch {
  return letOldestGo(joinNewer(held, page));
}

/** A page that was read anew: within its reach only what it holds is still there. */
export function readAnew(held: Stretch, page: Stretch): Stretch {
  const there = new Set(page.items.map((m) => m.message));
  const [first, last] = [page.items[0]?.order, page.items[page.items.length - 1]?.order];
  const reached = (m: Message): boolean =>
    (page.older === null || (first !== undefined && m.order >= first)) &&
    (page.newer === null || (last !== undefined && m.order <= last));
  const gone = held.items.filter((m) => reached(m) && !there.has(m.message));
  const left = gone.reduce((rest, m) => remove(rest, m.message), held);
  return joinNewer(left, { items: page.items, newer: held.newer });
}

const WAY: readonly MessageStatus[] = ['failed', 'queued', 'sent', 'delivered', 'read'];

/** Of two words about how far a message came the further one; `failed` gives way to all. */
export function further(a: MessageStatus, b: MessageStatus): MessageStatus {
  return WAY.indexOf(a) > WAY.indexOf(b) ? a : b;
}

/** The same message twice: what the later says, but its way never goes back. */
function newest(known: Message, fresh: Message): Message {
  const failed = fresh.status === 'failed' && known.status === 'queued';
  return {
    ...fresh,
    status: failed ? 'failed' : further(known.status, fresh.status),
    delivered_to: Math.max(known.delivered_to, fresh.delivered_to),
    read_by: Math.max(known.read_by, fresh.read_by),
  };
}

/** A message that is new on this device. Where it stands is the room's order, so late ones may go above. */
export function receive(held: Stretch, message: Message, join = append): Stretch {
  if (held.items.some((m) => m.message === message.message)) return replace(held, message);
  const first = held.items[0];
  const last = held.items[held.items.length - 1];
  const behind = last !== undefined && message.order > last.order;
  if (behind && held.newer !== null) return held;
  if (first !== undefined && message.order < first.order && held.older !== null) return held;
  return join(held, { items: [message], newer: held.newer });
}

/** Another version of a message that may be held. */
export function replace(held: Stretch, message: Message): Stretch {
  const at = held.items.findIndex((m) => m.message === message.message);
  const known = held.items[at];
  const items = known
    ? held.items.map((m, i) => (i === at ? newest(known, message) : quoted(m, message)))
    : held.items.map((m) => quoted(m, message));
  return { ...held, items };
}

/** An answer shows what it answers as it is now. */
function quoted(m: Message, message: Message): Message {
  if (m.reply_to !== message.message || !m.reply) return m;
  const { deleted } = message;
  const unsafe_epoch = !deleted && (message.unsafe_epoch ?? false);
  return { ...m, reply: { ...m.reply, text: deleted ? '' : oneLine(message.text), deleted, unsafe_epoch } };
}

const QUOTED = 160;

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, QUOTED);
}

export interface StatusWord {
  message: string;
  status: MessageStatus;
  delivered_to: number;
  read_by: number;
  reason?: string | null;
  reason_code?: string | null;
}

/** An own message went on its way. */
export function onItsWay(held: Stretch, word: StatusWord): Stretch {
  return change(held, word.message, (m) => ({
    ...newest(m, { ...m, status: word.status, delivered_to: word.delivered_to, read_by: word.read_by }),
    reason: word.reason ?? null,
    reason_code: word.reason_code ?? null,
  }));
}

export interface FileWord {
  message: string;
  index: number;
  have: number;
  state: FileInfo['state'];
  reason?: string | null;
  reason_code?: string | null;
}

/** A file of a message came further. */
export function fileCame(held: Stretch, word: FileWord): Stretch {
  return change(held, word.message, (m) => ({
    ...m,
    files: m.files.map((f, i) =>
      i === word.index
        ? {
            ...f,
            have: word.have,
            state: word.state,
            reason: word.reason ?? undefined,
            reason_code: word.reason_code ?? undefined,
          }
        : f,
    ),
  }));
}

/** It is gone, also out of the answers that quote it. */
export function remove(held: Stretch, message: string): Stretch {
  const items = held.items
    .filter((m) => m.message !== message)
    .map((m) => (m.reply_to === message && m.reply ? { ...m, reply: { ...m.reply, text: '', deleted: true } } : m));
  return { ...held, items };
}

function change(held: Stretch, message: string, how: (m: Message) => Message): Stretch {
  const at = held.items.findIndex((m) => m.message === message);
  if (at < 0) return held;
  return { ...held, items: held.items.map((m, i) => (i === at ? how(m) : m)) };
}
