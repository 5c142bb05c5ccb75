// Emoji by name, in both languages. The list is a file of its own, read when it is first wanted.
import { words } from '../i18n/i18n.svelte';

export interface Emoji {
  emoji: string;
  name: string;
  words: string;
}

/** As they stand in the file: emoji, English name, German name, English words, German words. */
type Line = [string, string, string, string, string];

let groups: Promise<Emoji[][]> | null = null;
let language = '';

export function emojiGroups(): Promise<Emoji[][]> {
  if (!groups || language !== words.language) {
    language = words.language;
    const german = language === 'de';
    groups = import('./data.json').then((file) =>
      (file.default as unknown as Line[][]).map((group) =>
        group.map(([emoji, en, de, enWords, deWords]) => ({
          emoji,
          name: german ? de : en,
          words: `${en} ${de} ${enWords} ${deWords}`.toLowerCase(),
        })),
      ),
    );
  }
  return groups;
}

export async function findEmoji(query: string, limit: number): Promise<Emoji[]> {
  const q = query.toLowerCase();
  const all = (await emojiGroups()).flat();
  const parts = q.split(/\s+/).filter(Boolean);
  const begins = all.filter((e) => {
    const known = e.words.split(' ');
    return parts.every((part) => known.some((word) => word.startsWith(part)));
  });
  return begins.sort((a, b) => rank(a, q) - rank(b, q)).slice(0, limit);
}

function rank(e: Emoji, q: string): number {
  return e.words.split(' ').includes(q) ? 0 : e.name.toLowerCase().startsWith(q) ? 1 : 2;
}
