// Drafts on their way to the node. Of each room one request at a time, so that an older one never overtakes a newer one; what a node that
// was away did not take is told again when it is back.
import { DELETE, PUT, ok } from '../api/client';

export interface Draft {
  text: string;
  /** The message that it answers. */
  replyTo: string | null;
}

const NONE: Draft = { text: '', replyTo: null };
/** While it is on its way nobody knows which of both the node has. */
const EITHER: Draft = { text: '\0', replyTo: null };
/** As the node has it. */
const told = new Map<string, Draft>();
/** As it is to be. */
const wanted = new Map<string, Draft>();
const going = new Set<string>();

const same = (a: Draft, b: Draft): boolean => a.text === b.text && (a.replyTo === b.replyTo || a.text.trim() === '');

/** What the node said that it has: read, or written in another window. */
export function was(room: string, draft: Draft): void {
  told.set(room, draft);
}

/** Has the node keep it. */
export function keep(room: string, draft: Draft): void {
  wanted.set(room, draft);
  void run(room);
}

/** The node is back: what it did not take. */
export function again(): void {
  for (const room of wanted.keys()) void run(room);
}

async function run(room: string): Promise<void> {
  if (going.has(room)) return;
  going.add(room);
  try {
    for (let next = wanted.get(room); next; next = wanted.get(room)) {
      if (!same(next, told.get(room) ?? NONE)) {
        told.set(room, EITHER);
        await tell(room, next);
        told.set(room, next);
      }
      if (wanted.get(room) === next) wanted.delete(room);
    }
  } catch {
    // It stays wanted.
  } finally {
    going.delete(room);
  }
}

async function tell(room: string, draft: Draft): Promise<void> {
  const params = { path: { room } };
  if (draft.text.trim() === '') await ok(DELETE('/api/v1/rooms/{room}/draft', { params }));
  else await ok(PUT('/api/v1/rooms/{room}/draft', { params, body: { text: draft.text, reply_to: draft.replyTo } }));
}

/** Whether there is something that the node does not have yet. */
export function waits(room: string): boolean {
  return wanted.has(room);
}
