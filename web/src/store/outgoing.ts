// What was written here and the node did not confirm yet: shown at once, sent with a key that makes repeating it harmless.
import { POST, Trouble, ok } from '../api/client';
import type { Message } from '../api/types';

export interface Pending {
  clientId: string;
  room: string;
  text: string;
  files: { id: string; name: string; bytes: number; mime: string }[];
  replyTo: Message | null;
  thread: string | null;
  at: string;
  /** `kept`: the node has it, and makes it a message once the room has keys. */
  state: 'sending' | 'waiting' | 'kept' | 'failed';
  reason: string;
  /** Once known: the row goes as soon as that message is held. */
  message: string | null;
  /** A message of the same words came: likely it is this one, so the row is not shown while the answer is awaited. */
  hidden: boolean;
}

export function newPending(
  room: string,
  text: string,
  files: Pending['files'],
  replyTo: Message | null,
  thread: string | null,
): Pending {
  return {
    clientId: crypto.randomUUID(),
    room,
    text,
    files,
    replyTo,
    thread,
    at: new Date().toISOString(),
    state: 'sending',
    reason: '',
    message: null,
    hidden: false,
  };
}

/** Length of the id of a message. What waits for keys has a shorter number of its own until it is one. */
const ID_LENGTH = 64;

/** Hands it to the node once. Answers the id, or nothing while it waits there for keys; throws what went wrong. */
export async function handIn(pending: Pending): Promise<string | null> {
  const answer = await ok(
    POST('/api/v1/rooms/{room}/messages', {
      params: { path: { room: pending.room } },
      body: {
        text: pending.text,
        client_id: pending.clientId,
        ...(pending.files.length > 0 && { files: pending.files.map((f) => f.id) }),
        ...(pending.replyTo && { reply_to: pending.replyTo.message }),
        ...(pending.thread && { thread: pending.thread }),
      },
    }),
  );
  return answer.message.length < ID_LENGTH && answer.status === 'queued' ? null : answer.message;
}

/** Whether trying again by itself may help: the node is away or busy, or wants a new session; nothing is wrong with the message. */
export function passes(error: unknown): boolean {
  return (
    !(error instanceof Trouble) ||
    error.status === 0 ||
    error.status === 401 ||
    error.status >= 500 ||
    error.status === 429
  );
}
