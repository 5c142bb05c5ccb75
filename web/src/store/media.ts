// Pictures and files of messages: pictures as objects of this page (nothing is left in the browser's cache), films and downloads by
// links that the node signs for a quarter of an hour.
import { json, raw } from '../api/client';

/** How many pictures are kept at hand. */
const KEPT = 120;
/** Half of what the node grants, so that a film started late still winds. */
const LINK_MS = 450_000;

const pictures = new Map<string, Promise<string>>();
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

/** A picture as an address for `<img>`. Of one type of the list above, whatever its author called it. */
export function picture(path: string, mime: string): Promise<string> {
  const known = pictures.get(path);
  if (known) {
    pictures.delete(path);
    pictures.set(path, known);
    return known;
  }
  const made = raw(path)
    .then((response) => response.arrayBuffer())
    .then((bytes) => URL.createObjectURL(new Blob([bytes], { type: isPicture(mime) ? mime : 'image/jpeg' })));
  pictures.set(path, made);
  made.catch(() => pictures.delete(path));
  if (pictures.size > KEPT) {
    const [oldest] = pictures;
    if (oldest) {
      pictures.delete(oldest[0]);
      void oldest[1].then((url) => URL.revokeObjectURL(url)).catch(() => undefined);
    }
  }
  return made;
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
