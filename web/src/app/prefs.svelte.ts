// What this browser remembers of how it is to look. What concerns the account is a setting of the node instead.
import { preferred, speak, type Language } from '../i18n/i18n.svelte';

export type Theme = 'system' | 'light' | 'dark';

interface Kept {
  theme: Theme;
  language: Language | 'system';
  sounds: boolean;
  notify: boolean;
  enterSends: boolean;
  emoji: string[];
  /** Skin tone of emoji, 0 for none. */
  tone: number;
  /** Whether voice messages come without being asked for. */
  voices: boolean;
}

const DEFAULTS: Kept = {
  theme: 'system',
  language: 'system',
  sounds: false,
  notify: false,
  enterSends: true,
  emoji: ['👍', '❤️', '😂', '🎉', '😮', '😢'],
  tone: 0,
  voices: true,
};
const KEY = 'parlor.prefs';

function read(): Kept {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Kept>) };
  } catch {
    return DEFAULTS;
  }
}

class Prefs {
  now = $state.raw<Kept>(read());

  constructor() {
    // Another window changed them.
    addEventListener('storage', (event) => {
      if (event.key === KEY) {
        this.now = read();
        void this.use();
      }
    });
  }

  set(change: Partial<Kept>): void {
    this.now = { ...this.now, ...change };
    try {
      localStorage.setItem(KEY, JSON.stringify(this.now));
    } catch {
      // A browser that keeps nothing: for this window it holds.
    }
    void this.use();
  }

  async use(): Promise<void> {
    const root = document.documentElement;
    if (this.now.theme === 'system') delete root.dataset.theme;
    else root.dataset.theme = this.now.theme;
    await speak(this.now.language === 'system' ? preferred() : this.now.language);
  }

  /** The emoji used last come first. */
  used(emoji: string): void {
    this.set({ emoji: [emoji, ...this.now.emoji.filter((e) => e !== emoji)].slice(0, 24) });
  }
}

export const prefs = new Prefs();
