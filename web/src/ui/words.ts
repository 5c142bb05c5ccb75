// What the node tells in words of its own: in the reader's language where the page knows the code, else as the node says it.
import type { OutboxEntry } from '../api/types';
import { known, t, type Values } from '../i18n/i18n.svelte';
import { plain } from '../timeline/brief';
import { sentence } from './toasts.svelte';

/** `key` ends with the code. */
export function told(key: string, text: string | null | undefined, values: Values = {}): string {
  return known(key) ? t(key, values) : sentence(text ?? '');
}

/** What waits in the outbox, on one line: an edit or a reaction is no message of its own. */
export function whatWaits({ kind, text }: Pick<OutboxEntry, 'kind' | 'text'>): string {
  const said = plain(text ?? '');
  if (kind === 'text') return said;
  const key = `outbox.${kind}`;
  return known(key) ? t(key, { text: said }) : t('outbox.unknown');
}
