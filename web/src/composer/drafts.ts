// Drafts on their way to the node. Of each room one request at a time, so that an older one never overtakes a newer one; what a node that
// was away did not take is told again when it is back.
import { DELETE, PUT, Trouble, ok } from '../api/client';

export interface Draft {
  text: string;
  /** The message that it answers. */
  replyTo: string | null;
  /** Files that would go with it, as the node named them. */
  files: readonly string[];
}

const NONE: Draft = { text: '', replyTo: null, files: [] };
/** While it is on its way nobody knows which of both the node has. */
const EITHER: Draft = { text: '\0', replyTo: null, files: [] };
/** As the node has it. */
const told = new Map<string, Draft>();
/** As it is to be. */
const wanted = new Map<string, Draft>();
const going = new Set<string>();

const isNone = (a: Draft): boolean => a.text.trim() === '' && a.files.length === 0;

export function same(a: Draft, b: Draft): boolean {
  const files = a.files.length === b.files.length && a.files.every((file, i) => file === b.files[i]);
  return files && a.text === b.text && (a.replyTo === b.replyTo || isNone(a));
}

/** What the node said that it has: read, or written in another window. */
export function was(room: string, draft: Draft): void {
  told.set(room, draft);
}

/** Whether the node has it so. */
export function has(room: string, draft: Draft): boolean {
  return same(told.get(room) ?? NONE, draft);
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

/** Tells the node; a file that it does not have any more is left out. */
async function tell(room: string, draft: Draft): Promise<void> {
  const params = { path: { room } };
  if (isNone(draft)) await ok(DELETE('/api/v1/rooms/{room}/draft', { params }));
  else {
    const { text, replyTo: reply_to, files } = draft;
    const put = (files: readonly string[]): Promise<unknown> =>
      ok(
        PUT('/api/v1/rooms/{room}/draft', {
          params,
          body: { text, reply_to, ...(files.length > 0 && { files: [...files] }) },
        }),
      );
    await put(files).catch((error: unknown) => {
      if (files.length > 0 && error instanceof Trouble && error.code === 'file_not_found') return put([]);
      throw error;
    });
  }
}

/** Whether there is something that the node does not have yet. */
export function waits(room: string): boolean {
  return wanted.has(room);
}
