// What the word before the caret may become: somebody's name after `@`, an emoji after `:`.
import type { Room } from '../api/types';
import { prefs } from '../app/prefs.svelte';
import { findEmoji } from '../emoji/emoji';
import { toned } from '../emoji/tone';
import { store } from '../store/store.svelte';

export interface Suggestion {
  key: string;
  sign: string;
  label: string;
  text: string;
  /** How many characters before the caret it replaces. */
  typed: number;
}

const SHOWN = 7;

/** The names that fit what was typed; what begins so comes first. */
export function people(names: readonly string[], typed: string): string[] {
  const q = typed.toLowerCase();
  const begins = names.filter((n) => n.toLowerCase().startsWith(q));
  const inside = names.filter((n) => !n.toLowerCase().startsWith(q) && n.toLowerCase().includes(q));
  return [...begins, ...inside].slice(0, SHOWN);
}

export async function suggest(before: string, room: Room | undefined): Promise<Suggestion[]> {
  const name = /(?:^|\s)@([\p{L}\p{N}_.-]{0,32})$/u.exec(before);
  if (name) {
    const others = (room?.people ?? []).filter((p) => p.account !== store.me).map((p) => p.name);
    const typed = name[1]!;
    return people([...new Set(others)], typed).map((n) => ({
      key: n,
      sign: '@',
      label: n,
      text: `@${n} `,
      typed: typed.length + 1,
    }));
  }
  const emoji = /(?:^|\s):([\p{L}\p{N}_+-]{2,24})$/u.exec(before);
  if (emoji) {
    const typed = emoji[1]!;
    return (await findEmoji(typed, SHOWN)).map((e) => {
      const sign = toned(e.emoji, prefs.now.tone);
      return { key: e.emoji, sign, label: e.name, text: `${sign} `, typed: typed.length + 1 };
    });
  }
  return [];
}
