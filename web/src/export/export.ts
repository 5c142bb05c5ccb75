// A room as a file: as JSON, which `parlor export verify` checks, or as a page to read. Both are as `parlor export` writes them
// (docs/spec/export.md), without the files of messages: a page of a browser can save one file at a time.
import { GET, ok, raw } from '../api/client';
import type { ExportPage, Message } from '../api/types';
import { filePath } from '../store/media';
import * as page from './page';

export type Format = 'html' | 'json';

export interface Wish {
  room: string;
  format: Format;
  /** Told how many messages were written. */
  progress: (messages: number) => void;
  abort: AbortSignal;
}

/** The whole file. Stretches become parts of it as they come, so that a long room does not stand in the page's memory. */
export async function exportRoom(wish: Wish): Promise<Blob> {
  const parts: Blob[] = [];
  const write = (text: string): void => void parts.push(new Blob([text]));
  let messages = 0;
  let days: page.Days | null = null;
  let json: JsonLines | null = null;
  for await (const stretch of stretches(wish)) {
    if (wish.format === 'json') {
      json ??= new JsonLines(stretch, write);
      json.add(stretch);
    } else {
      if (!days) {
        write(page.head(stretch.about));
        days = new page.Days();
      }
      for (const { message } of stretch.events) {
        if (message) write(days.before(message) + page.message(message, await pictures(message, wish.abort)));
      }
    }
    messages += stretch.events.filter((e) => e.message).length;
    wish.progress(messages);
  }
  json?.end();
  if (days) write(page.END);
  return new Blob(parts, { type: wish.format === 'json' ? 'application/json' : 'text/html' });
}

async function* stretches(wish: Wish): AsyncGenerator<ExportPage> {
  let after: string | undefined;
  do {
    const stretch: ExportPage = await ok(
      GET('/api/v1/rooms/{room}/export', {
        params: { path: { room: wish.room }, query: { after } },
        signal: wish.abort,
      }),
    );
    wish.abort.throwIfAborted();
    yield stretch;
    after = stretch.next ?? undefined;
  } while (after);
}

/** One object: the room's log, then messages, an event on a line. */
export class JsonLines {
  private first = true;
  private inEvents = false;

  constructor(
    { about }: ExportPage,
    private readonly write: (text: string) => void,
  ) {
    write(`${JSON.stringify(about).slice(0, -1)},\n"control":[`);
  }

  add(stretch: ExportPage): void {
    if (!this.inEvents) this.lines(stretch.control);
    if (stretch.events.length > 0) this.events();
    this.lines(stretch.events);
  }

  end(): void {
    this.events();
    this.write('\n]}\n');
  }

  private events(): void {
    if (this.inEvents) return;
    this.inEvents = true;
    this.first = true;
    this.write('\n],\n"events":[');
  }

  private lines(values: readonly unknown[]): void {
    if (values.length === 0) return;
    this.write(`${this.first ? '' : ','}\n${values.map((value) => JSON.stringify(value)).join(',\n')}`);
    this.first = false;
  }
}

/** The small pictures of a message, as parts of the page. What can not be had is left out: its name stands there. */
async function pictures(message: Message, abort: AbortSignal): Promise<(string | null)[]> {
  return Promise.all(
    message.files.map(async (file, index) => {
      if (!file.preview) return null;
      try {
        const answer = await raw(`${filePath(message.room, message.message, index)}/preview`, { signal: abort });
        return `data:image/jpeg;base64,${base64(new Uint8Array(await answer.arrayBuffer()))}`;
      } catch {
        return null;
      }
    }),
  );
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** A name for the file: of the room's only what every file system takes. */
export function nameOf(room: string, format: Format): string {
  const plain = room
    .normalize('NFC')
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .trim()
    .slice(0, 60);
  return `${plain || 'room'}.${format}`;
}
