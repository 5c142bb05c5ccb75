// What the node tells in words of its own: in the reader's language where the page knows the code, else as the node says it.
import { known, t, words, type Key, type Values } from '../i18n/i18n.svelte';
import { sentence } from './toasts.svelte';

/** `key` ends with the code. */
export function told(key: string, text: string | null | undefined, values: Values = {}): string {
  return known(key) ? t(key, values) : sentence(text ?? '');
}

/** What the node says without a code: in English its own words, which say more; else those that are known to be true. */
export function own(text: string | null | undefined, else_: Key): string {
  return words.language === 'en' && text ? sentence(text) : t(else_);
}
