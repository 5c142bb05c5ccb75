// A message in a few words: in the list of rooms, above an answer, in a notification.
import type { Message } from '../api/types';
import { t } from '../i18n/i18n.svelte';

/** Marks of the Markdown around words, which would only disturb where nothing is made of them. */
export function unmarked(text: string): string {
  return text.replace(/(\*\*|__|`|~~)/g, '');
}

/** The same and what begins lines, on one line. */
export function plain(text: string): string {
  return unmarked(text.replace(/```\w*\n?/g, ''))
    .replace(/(^|\s)\*(\S[^*]*)\*/g, '$1$2')
    .replace(/^\s*(>|[-*]|\d+\.)\s+/gm, '')
    .replace(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();
}

export function brief(m: { kind: Message['kind']; text: string; deleted?: boolean; files?: Message['files'] }): string {
  if (m.deleted) return t('message.deleted');
  if (m.kind === 'poll') return `${t('poll')}: ${plain(m.text)}`;
  if (m.kind === 'unknown') return t('message.unknown');
  if (m.kind !== 'file' || m.text) return plain(m.text);
  const files = m.files ?? [];
  const first = files[0];
  if (!first) return t('file');
  if (files.length > 1) return t('files.n', { n: files.length });
  if (first.mime.startsWith('image/')) return t('file.picture');
  if (first.mime.startsWith('video/')) return t('file.film');
  if (first.mime.startsWith('audio/')) return t('file.sound');
  return first.name;
}
