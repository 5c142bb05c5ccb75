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
  /** `behind`: what was written before it goes out first. `kept`: the node has it, and makes it a message once the room has keys. */
  state: 'behind' | 'sending' | 'waiting' | 'kept' | 'failed';
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
    state: 'behind',
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

/** What the node says while it is away or busy, or wants a new session. */
const PASSING = new Set(['busy', 'stopping', 'no_node', 'passphrase_needed', 'timed_out']);

/** Whether handing it in again by itself may help: nothing is wrong with the message, and nothing with the node that somebody must mend. */
export function passes(error: unknown): boolean {
  return !(error instanceof Trouble) || [0, 401, 429].includes(error.status) || PASSING.has(error.code);
}

const AGAIN_MS = 2_000;

/** What is to be done one after the other: who must try again keeps all behind him waiting, so that everybody reads in the order of writing. */
export class Queue {
  private turns: (() => Promise<boolean>)[] = [];

  /** `turn` answers whether the next one may follow; if not it is tried again. */
  add(turn: () => Promise<boolean>): void {
    this.turns.push(turn);
    if (this.turns.length === 1) void this.go();
  }

  private async go(): Promise<void> {
    for (let head = this.turns[0]; head; head = this.turns[0]) {
      if (await head()) this.turns.shift();
      else await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}
