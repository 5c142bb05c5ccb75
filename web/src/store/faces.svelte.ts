// Pictures of people by their hash: fetched when somebody is on the screen, then at hand in every place at once.
import { SvelteMap } from 'svelte/reactivity';
import { Pictures } from './media';

/** At most 24 KiB each. */
const KEPT_BYTES = 600 * 24 * 1024;

const path = (hash: string): string => `/api/v1/pictures/${hash}`;
const urls = new SvelteMap<string, string>();
const pictures = new Pictures(KEPT_BYTES, (gone) => urls.delete(gone));

/** The address of a picture that is here already; nothing while it is on its way; empty if it cannot be had. */
export function face(hash: string): string | undefined {
  return urls.get(path(hash));
}

/** Fetches a picture that is to be seen; answers how to say that it is seen no more. One that cannot be had is asked for again by the next
 * who shows it. */
export function want(hash: string): () => void {
  const at = path(hash);
  const shown = pictures.show(at, 'image/jpeg');
  shown.url.then(
    (url) => urls.set(at, url),
    () => urls.set(at, ''),
  );
  return shown.end;
}
