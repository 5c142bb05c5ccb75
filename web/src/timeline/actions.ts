// What can be done with a message.
import { DELETE, GET, PATCH, POST, PUT, ok } from '../api/client';
import type { FileInfo, Message, Role, Room } from '../api/types';
import { prefs } from '../app/prefs.svelte';
import { t } from '../i18n/i18n.svelte';
import { store } from '../store/store.svelte';
import { attempt, toasts } from '../ui/toasts.svelte';
import { copy } from '../ui/save';
import { stop } from './voices';

function path(m: Message): { path: { room: string; message: string } } {
  return { path: { room: m.room, message: m.message } };
}

function took(message: Message): void {
  store.timeline(message.room).update(message);
}

/** As it is held now: what was read a moment ago may be deleted meanwhile. */
function now(m: Message): Message {
  return store.timeline(m.room).held.items.find((held) => held.message === m.message) ?? m;
}

export async function react(m: Message, emoji: string): Promise<void> {
  const on = !(m.reactions[emoji] ?? []).includes(store.me);
  // Shown at once; the answer says how it really is.
  const others = (m.reactions[emoji] ?? []).filter((a) => a !== store.me);
  const reactions = { ...m.reactions, [emoji]: on ? [...others, store.me] : others };
  if (reactions[emoji]!.length === 0) delete reactions[emoji];
  took({ ...now(m), reactions });
  if (on) prefs.used(emoji);
  const answer = await attempt(() =>
    ok(PUT('/api/v1/rooms/{room}/messages/{message}/reaction', { params: path(m), body: { emoji, on } })),
  );
  took(answer ?? { ...now(m), reactions: m.reactions });
}

export async function pin(m: Message, on: boolean): Promise<void> {
  const answer = await attempt(() =>
    ok(PUT('/api/v1/rooms/{room}/messages/{message}/pin', { params: path(m), body: { on } })),
  );
  if (answer) {
    took(answer);
    toasts.say(t(on ? 'message.pinned.done' : 'message.unpinned.done'));
  }
}

export async function remove(m: Message): Promise<void> {
  const answer = await attempt(() => ok(DELETE('/api/v1/rooms/{room}/messages/{message}', { params: path(m) })));
  if (answer) took(answer);
}

export async function edit(m: Message, text: string): Promise<boolean> {
  const answer = await attempt(() =>
    ok(
      PATCH('/api/v1/rooms/{room}/messages/{message}', {
        params: path(m),
        body: { text, client_id: crypto.randomUUID() },
      }),
    ),
  );
  if (answer) took(answer);
  return answer !== undefined;
}

export async function vote(m: Message, choices: readonly number[]): Promise<boolean> {
  const answer = await attempt(() =>
    ok(PUT('/api/v1/rooms/{room}/messages/{message}/vote', { params: path(m), body: { choices: [...choices] } })),
  );
  if (answer) took(answer);
  return answer !== undefined;
}

/** Whether a file is on its way: then a press stops it. */
export function coming(file: { state: FileInfo['state'] }): boolean {
  return file.state === 'fetching' || file.state === 'waiting';
}

/** Fetches a file, or stops one that is coming. What is here stays: the node would take it off the disk. */
export async function fetchFile(m: Message, index: number): Promise<void> {
  const file = m.files[index];
  if (!file || file.state === 'here') return;
  const params = { path: { room: m.room, message: m.message, index } };
  const ends = coming(file);
  if (ends) stop(m, index);
  await attempt(() =>
    ends
      ? ok(DELETE('/api/v1/rooms/{room}/messages/{message}/files/{index}', { params }))
      : ok(POST('/api/v1/rooms/{room}/messages/{message}/files/{index}', { params })),
  );
  const now = await attempt(() => ok(GET('/api/v1/rooms/{room}/messages/{message}', { params: path(m) })));
  if (now) took(now);
}

export async function retryOutbox(m: Message): Promise<void> {
  await attempt(() => ok(POST('/api/v1/outbox/retry', { body: { message: m.message } })));
}

export async function discardOutbox(m: Message): Promise<void> {
  const answer = await attempt(() => ok(POST('/api/v1/outbox/discard', { body: { message: m.message } })));
  if (answer) store.timeline(m.room).drop(m.message);
}

export async function copyText(m: Message): Promise<void> {
  if (await copy(m.text)) toasts.say(t('copied'));
}

const POWERS: readonly string[] = ['owner', 'admin', 'moderator', 'member', 'observer'];

/** Whether a role has the power of another one, or more. */
export function atLeast(role: string, wanted: Role): boolean {
  const at = POWERS.indexOf(role);
  return at >= 0 && at <= POWERS.indexOf(wanted);
}

export function mayWrite(room: { role: string; kind: string } | undefined): boolean {
  return room !== undefined && atLeast(room.role, room.kind === 'channel' ? 'moderator' : 'member');
}

/** Whether this account may take out what somebody else wrote. The node decides; this only hides what it would refuse. */
export function mayModerate(room: Room | undefined): boolean {
  return room !== undefined && room.kind !== 'direct' && atLeast(room.role, 'moderator');
}
