// Skin tones of emoji.

/** From light to dark; the first is without. */
export const TONES = ['', '\u{1f3fb}', '\u{1f3fc}', '\u{1f3fd}', '\u{1f3fe}', '\u{1f3ff}'] as const;

const BODY = /\p{Emoji_Modifier_Base}\ufe0f?/gu;

/** An emoji in a tone, where it shows one person: of several each would have a tone of its own. */
export function toned(emoji: string, tone: number): string {
  const sign = TONES[tone];
  if (!sign || [...emoji.matchAll(BODY)].length !== 1) return emoji;
  return emoji.replace(BODY, (body) => body.replace('\ufe0f', '') + sign);
}
