// What the node tells in words of its own: in the reader's language where the page knows the code, else as the node says it.
import { known, t, type Values } from '../i18n/i18n.svelte';
import { sentence } from './toasts.svelte';

/** `key` ends with the code. */
export function told(key: string, text: string | null | undefined, values: Values = {}): string {
  return known(key) ? t(key, values) : sentence(text ?? '');
}
