// What disappeared or was deleted leaves more than the list: its pictures are kept no longer, and none of them is shown large.
import type { NodeEvent } from '../api/types';
import { forgetFiles } from '../store/media';
import { lightbox } from './lightbox.svelte';

/** Each event, once the store heard it. */
export function forgetGone(event: NodeEvent): void {
  const gone = event.event === 'message.expired' || (event.event === 'message.updated' && event.deleted);
  if (!gone) return;
  forgetFiles(event.room, event.message);
  lightbox.forget(event.message);
}
