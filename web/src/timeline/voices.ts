// Voice messages come without being asked for, as pictures do: quietly, once, and not again after somebody stopped one.
import { POST, ok } from '../api/client';
import type { FileInfo, Message } from '../api/types';
import { prefs } from '../app/prefs.svelte';
import { isVoice } from '../store/media';
import { store } from '../store/store.svelte';

/** Those that were stopped, in this browser. */
const KEY = 'parlor.stopped';
/** Of more the oldest are forgotten. */
const REMEMBERED = 300;
const ASKED_MAX = 10_000;

const asked = new Set<string>();
const name = (m: Message, index: number): string => `${m.message} ${index}`;

function stopped(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter((one) => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

/** Somebody does not want it now. */
export function stop(m: Message, index: number): void {
  try {
    localStorage.setItem(KEY, JSON.stringify([...stopped(), name(m, index)].slice(-REMEMBERED)));
  } catch {
    // A browser that keeps nothing: for this window it holds.
  }
  asked.add(name(m, index));
}

/** Whether a file is a voice that is to come by itself now. */
export function comes(m: Message, file: FileInfo, index: number): boolean {
  const gone = store.rooms.get(m.room)?.gone;
  const waits = file.state === 'remote' && !file.reason;
  return prefs.now.voices && isVoice(file) && waits && !gone && !asked.has(name(m, index));
}

/** Asks the node for it; what goes wrong is seen at the file, which a press fetches. */
export function fetchVoice(m: Message, index: number): void {
  if (stopped().includes(name(m, index))) return;
  if (asked.size >= ASKED_MAX) asked.clear();
  asked.add(name(m, index));
  const params = { path: { room: m.room, message: m.message, index } };
  void ok(POST('/api/v1/rooms/{room}/messages/{message}/files/{index}', { params })).catch(() => undefined);
}
