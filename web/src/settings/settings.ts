// The settings that the node keeps.
import { PATCH, ok } from '../api/client';
import type { UpdateSettings } from '../api/types';
import { store } from '../store/store.svelte';
import { attempt } from '../ui/toasts.svelte';

/** Changes settings of the node; shown as the node answers them. */
export async function change(body: UpdateSettings): Promise<void> {
  const done = await attempt(() => ok(PATCH('/api/v1/settings', { body })));
  if (done) store.changed(done);
}
