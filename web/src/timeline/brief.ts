// A message in a few words: in the list of rooms, above an answer, in a notification.
import type { Message } from '../api/types';
import { t } from '../i18n/i18n.svelte';

/** Marks of the Markdown around words, which would only disturb where nothing is made of them. */
export function unmarked(text: string): string {
  return text.replace(/(\*\*|__|`|~~)/g, '');
}

/** So much of a text is looked at: it is done with each message that comes, and what they say is anybody's. */
const LOOKED_AT = 400;

/** The same and what begins lines, on one line. */
export function plain(text: string): string {
  const cut = text.length > LOOKED_AT;
  // A sign of two halves is not cut in the middle.
  const begin = cut ? text.slice(0, LOOKED_AT).replace(/[\ud800-\udbff]$/, '') : text;
  const words = unmarked(begin.replace(/```\w*\n?/g, ''))
    .replace(/(^|\s)\*(\S[^*]*)\*/g, '$1$2')
    .replace(/^[^\S\n]*(>|[-*]|\d+\.)\s+/gm, '')
    .replace(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();
  // An address may be long: of a link that the cut goes through its words stay.
  return cut ? `${words.replace(/\[([^\]]+)\]\([^)]*$/, '$1')}…` : words;
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
