// Pictures and files of messages: pictures as objects of this page (nothing is left in the browser's cache), films and downloads by
// links that the node signs for a quarter of an hour.
import { json, raw } from '../api/client';

/** What a picture may have to be shown: a larger one is a file like others, and is never in memory as a whole. */
const PICTURE_MAX = 20 * 1024 * 1024;
/** How much of pictures is kept at hand. */
const KEPT_BYTES = 96 * 1024 * 1024;
/** Half of what the node grants, so that a film started late still winds. */
const LINK_MS = 450_000;

const links = new Map<string, { url: Promise<string>; until: number }>();

export function filePath(room: string, message: string, index: number | ''): string {
  return `/api/v1/rooms/${room}/messages/${message}/files/${index}`;
}

/** Types that are shown as pictures; never SVG, which could hold more than a picture. */
const SHOWN = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'];

function isShown(mime: string): boolean {
  return SHOWN.includes(mime.toLowerCase());
}
/** Whether a file is shown as a picture. */
export function isPicture(file: { mime: string; bytes: number }): boolean {
  return isShown(file.mime) && file.bytes <= PICTURE_MAX;
}
export function isFilm(mime: string): boolean {
  return ['video/mp4', 'video/webm', 'video/quicktime'].includes(mime.toLowerCase());
}
export function isSound(mime: string): boolean {
  return /^audio\/(webm|ogg|mpeg|mp4|wav|x-wav|flac|aac)(;|$)/.test(mime.toLowerCase());
}

/** Larger ones are asked for by a press, like any file. */
const VOICE_MAX = 2 * 1024 * 1024;
/** What the recorder calls its recordings, and says of no other sound. */
export function isVoice(file: { name: string; mime: string; bytes: number }): boolean {
  return file.name.startsWith('voice-') && isSound(file.mime) && file.bytes <= VOICE_MAX;
}

/** A picture as long as it is kept. */
interface Held {
  url: Promise<string>;
  bytes: number;
  /** How many show it now. */
  shown: number;
}

/** A picture while somebody shows it. */
export interface Shown {
  url: Promise<string>;
  /** It is shown no more. */
  end: () => void;
}

/** Pictures by their path as addresses for `<img>`. When they are too much those go that nobody shows, the one shown longest ago first. */
export class Pictures {
  private readonly held = new Map<string, Held>();
  private bytes = 0;

  constructor(
    private readonly most: number,
    private readonly gone: (path: string) => void = () => undefined,
  ) {}

  /** Of one type of the list above, whatever its author called it. */
  show(path: string, mime: string): Shown {
    const one = this.held.get(path) ?? this.read(path, mime);
    this.held.delete(path);
    this.held.set(path, one);
    one.shown++;
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      one.shown--;
      if (one.shown > 0) return;
      if (this.held.get(path) === one) this.shrink();
      else revoke(one);
    };
    return { url: one.url, end };
  }

  /** Those of one message, or one of them, are read anew if anybody shows them again. */
  forget(begin: string): void {
    for (const path of this.held.keys()) if (path.startsWith(begin)) this.drop(path);
  }

  private read(path: string, mime: string): Held {
    const bytes = raw(path).then((response) => response.arrayBuffer());
    const url = bytes.then((all) => {
      one.bytes = all.byteLength;
      if (this.held.get(path) === one) this.bytes += one.bytes;
      this.shrink();
      return URL.createObjectURL(new Blob([all], { type: isShown(mime) ? mime : 'image/jpeg' }));
    });
    const one: Held = { url, bytes: 0, shown: 0 };
    url.catch(() => this.held.get(path) === one && this.held.delete(path));
    return one;
  }

  private shrink(): void {
    for (const [path, one] of this.held) {
      if (this.bytes <= this.most) return;
      if (one.shown === 0 && one.bytes > 0) this.drop(path);
    }
  }

  private drop(path: string): void {
    const one = this.held.get(path);
    if (!one) return;
    this.held.delete(path);
    this.bytes -= one.bytes;
    this.gone(path);
    if (one.shown === 0) revoke(one);
  }
}

function revoke(one: Held): void {
  one.url.then(
    (url) => URL.revokeObjectURL(url),
    () => undefined,
  );
}

const pictures = new Pictures(KEPT_BYTES);

/** A picture of a message as an address for `<img>`, until that is ended. */
export function picture(path: string, mime: string): Shown {
  return pictures.show(path, mime);
}

/** What was read of this is not to be shown again: it is broken. */
export function forgetPicture(path: string): void {
  pictures.forget(path);
}

/** A message is no more: nothing of its files is kept. */
export function forgetFiles(room: string, message: string): void {
  const begin = filePath(room, message, '');
  pictures.forget(begin);
  for (const path of links.keys()) if (path.startsWith(begin)) links.delete(path);
}

/** An address that opens one file for a while without the session's token. */
export function signed(path: string): Promise<string> {
  const now = Date.now();
  for (const [known, link] of links) if (link.until <= now) links.delete(known);
  const known = links.get(path);
  if (known) return known.url;
  const url = json<{ links: string[] }>('POST', '/api/v1/links', { paths: [path] }).then((answer) => answer.links[0]!);
  const link = { url, until: now + LINK_MS };
  links.set(path, link);
  url.catch(() => links.get(path) === link && links.delete(path));
  return url;
}
