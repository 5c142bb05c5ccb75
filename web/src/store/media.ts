// Pictures and files of messages: pictures as objects of this page (nothing is left in the browser's cache), films and downloads by
// links that the node signs for a quarter of an hour.
import { json, raw } from '../api/client';

/** How many pictures are kept at hand. */
const KEPT = 120;
/** Half of what the node grants, so that a film started late still winds. */
const LINK_MS = 450_000;

const links = new Map<string, { url: Promise<string>; until: number }>();

export function filePath(room: string, message: string, index: number): string {
  return `/api/v1/rooms/${room}/messages/${message}/files/${index}`;
}

/** Types that are shown as pictures; never SVG, which could hold more than a picture. */
const SHOWN = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'];

export function isPicture(mime: string): boolean {
  return SHOWN.includes(mime.toLowerCase());
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

/** Pictures by their path as addresses for `<img>`; the oldest go when there are too many. Those that are on the screen stay there. */
export class Pictures {
  private readonly held = new Map<string, Promise<string>>();

  constructor(
    private readonly kept: number,
    private readonly gone: (path: string) => void = () => undefined,
  ) {}

  /** Of one type of the list above, whatever its author called it. */
  get(path: string, mime: string): Promise<string> {
    const known = this.held.get(path);
    if (known) {
      this.held.delete(path);
      this.held.set(path, known);
      return known;
    }
    const made = raw(path)
      .then((response) => response.arrayBuffer())
      .then((bytes) => URL.createObjectURL(new Blob([bytes], { type: isPicture(mime) ? mime : 'image/jpeg' })));
    this.held.set(path, made);
    made.catch(() => this.held.delete(path));
    if (this.held.size > this.kept) {
      const [oldest] = this.held;
      if (oldest) {
        this.held.delete(oldest[0]);
        this.gone(oldest[0]);
        void oldest[1].then((url) => URL.revokeObjectURL(url)).catch(() => undefined);
      }
    }
    return made;
  }
}

const pictures = new Pictures(KEPT);

/** A picture of a message as an address for `<img>`. */
export function picture(path: string, mime: string): Promise<string> {
  return pictures.get(path, mime);
}

/** An address that opens one file for a while without the session's token. */
export function signed(path: string): Promise<string> {
  const known = links.get(path);
  if (known && known.until > Date.now()) return known.url;
  const url = json<{ links: string[] }>('POST', '/api/v1/links', { paths: [path] }).then((answer) => answer.links[0]!);
  links.set(path, { url, until: Date.now() + LINK_MS });
  url.catch(() => links.delete(path));
  return url;
}
