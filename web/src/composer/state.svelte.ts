// What is being written in each room of this window: text, what it answers or changes, what goes with it.
import { upload } from '../api/client';
import type { Message } from '../api/types';
import { toasts } from '../ui/toasts.svelte';

export interface Attached {
  key: string;
  name: string;
  bytes: number;
  mime: string;
  /** For pictures. */
  preview: string;
  sent: number;
  /** As the node named it, once it has it all. */
  id: string;
  failed: string;
  abort: AbortController;
  /** What is handed over again when that failed. */
  source?: File;
}

/** A file that the node has. */
interface Handed {
  hash: string;
  name: string;
  bytes: number;
  mime: string;
}

export const FILES_MAX = 8;

export class Compose {
  text = $state('');
  replyTo = $state.raw<Message | null>(null);
  /** What it answers, while that is being read. */
  awaited: string | null = null;
  editing = $state.raw<Message | null>(null);
  files = $state<Attached[]>([]);
  /** What was written before an edit began. */
  aside = '';
  /** The draft that the node has was asked for. */
  loaded = false;
  /** It is known, so that what is written here takes its place: before that it would be lost. */
  read = false;
  /** A recording for it is being made. */
  recording = false;
  /** The last word of another window that was heard. */
  heard = -1;

  attach(list: Iterable<File>): void {
    for (const file of list) {
      if (this.files.length >= FILES_MAX) return;
      const attached: Attached = {
        key: crypto.randomUUID(),
        name: file.name || 'file',
        bytes: file.size,
        mime: file.type || 'application/octet-stream',
        preview: /^image\/(png|jpeg|gif|webp|avif)$/.test(file.type) ? URL.createObjectURL(file) : '',
        sent: 0,
        id: '',
        failed: '',
        abort: new AbortController(),
        source: file,
      };
      this.files.push(attached);
      void this.hand(attached.key, file);
    }
  }

  /** Files that a draft had, as the node tells them: they were handed over before. */
  restore(files: readonly Handed[]): void {
    const kept = this.files.filter((f) => !f.id || files.some((of) => of.hash === f.id));
    for (const gone of this.files) if (!kept.includes(gone) && gone.preview) URL.revokeObjectURL(gone.preview);
    const come = files.filter((of) => !kept.some((f) => f.id === of.hash));
    const added = come.map((of) => ({
      key: crypto.randomUUID(),
      name: of.name,
      bytes: of.bytes,
      mime: of.mime,
      preview: '',
      sent: of.bytes,
      id: of.hash,
      failed: '',
      abort: new AbortController(),
    }));
    this.files = [...kept, ...added].slice(0, FILES_MAX);
  }

  /** A draft that was read late: its words go before those that were written meanwhile, its files beside theirs. */
  join(text: string, files: readonly Handed[]): void {
    this.words = [text, this.words].filter((part) => part.trim() !== '').join('\n');
    const ours = this.files.filter((f) => f.id).map((f) => ({ ...f, hash: f.id }));
    this.restore([...files, ...ours]);
  }

  /** What is written, also while an edit stands in its place. */
  get words(): string {
    return this.editing ? this.aside : this.text;
  }
  set words(text: string) {
    if (this.editing) this.aside = text;
    else this.text = text;
  }

  /** What the node keeps of it. */
  get handed(): string[] {
    return this.files.filter((f) => f.id).map((f) => f.id);
  }

  private async hand(key: string, file: File): Promise<void> {
    const entry = (): Attached | undefined => this.files.find((f) => f.key === key);
    const abort = entry()!.abort;
    try {
      const answer = await upload(
        file,
        file.name || 'file',
        false,
        (sent) => {
          const now = entry();
          if (now) now.sent = sent;
        },
        abort.signal,
      );
      const now = entry();
      if (now) {
        now.id = answer.file;
        now.bytes = answer.bytes;
        now.mime = answer.mime;
      }
    } catch (error) {
      const now = entry();
      if (now) {
        now.failed = 'failed';
        toasts.fail(error);
      }
    }
  }

  again(key: string): void {
    const entry = this.files.find((f) => f.key === key);
    if (!entry?.failed || !entry.source) return;
    entry.failed = '';
    entry.sent = 0;
    void this.hand(key, entry.source);
  }

  detach(key: string): void {
    const gone = this.files.find((f) => f.key === key);
    gone?.abort.abort();
    if (gone?.preview) URL.revokeObjectURL(gone.preview);
    this.files = this.files.filter((f) => f.key !== key);
  }

  clearFiles(): void {
    for (const file of this.files) if (file.preview) URL.revokeObjectURL(file.preview);
    this.files = [];
  }

  /** What could not be handed over is taken out by hand: nothing is left out of a message without a word. */
  get broken(): boolean {
    return this.files.some((f) => f.failed);
  }

  get uploading(): boolean {
    return this.files.some((f) => !f.id && !f.failed);
  }

  edit(message: Message): void {
    if (!this.editing) this.aside = this.text;
    this.editing = message;
    this.replyTo = null;
    this.text = message.text;
  }

  stopEditing(): void {
    if (!this.editing) return;
    this.editing = null;
    this.text = this.aside;
    this.aside = '';
  }
}

const all = new Map<string, Compose>();

/** Of a room, or of a thread in it. */
export function composeOf(key: string): Compose {
  let found = all.get(key);
  if (!found) {
    found = new Compose();
    all.set(key, found);
  }
  return found;
}

/** Whether something is written with that the node does not have yet: a recording, or a file on its way. */
export function unkept(): boolean {
  return [...all.values()].some((c) => c.recording || c.files.some((f) => !f.id));
}
