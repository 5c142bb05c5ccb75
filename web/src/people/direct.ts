// Opens the one chat with somebody, wherever he is named.
import { POST, ok } from '../api/client';
import { at, go } from '../app/route.svelte';
import { store } from '../store/store.svelte';
import { attempt } from '../ui/toasts.svelte';

export async function openDirect(who: string): Promise<boolean> {
  const answer = await attempt(() => ok(POST('/api/v1/dm', { body: { who } })));
  if (!answer) return false;
  await store.loadRoom(answer.room);
  go(at.room(answer.room));
  return true;
}
