// What newcomers read of the time before they came, in words.
import type { Past } from '../api/types';
import { dateTime, t } from '../i18n/i18n.svelte';

export function pastText(past: Past | undefined): string {
  if (past?.everything) return t('past.everything');
  if (past?.since) return t(past.parts ? 'past.since.parts' : 'past.since', { at: dateTime(past.since) });
  return t(past?.parts ? 'past.none.parts' : 'past.none');
}
