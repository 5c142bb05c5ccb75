// Words in the user's language: typed catalogues, plural rules and dates of the platform. English is in the first bundle, others are
// fetched from this node when they are wanted.
import { en, type Catalogue, type Key } from './en';

export type { Key } from './en';

export type Language = 'en' | 'de';
export const LANGUAGES: readonly { code: Language; name: string }[] = [
  { code: 'en', name: 'English' },
  { code: 'de', name: 'Deutsch' },
];

const catalogues: Partial<Record<Language, Catalogue>> = { en };
const load: Record<Language, () => Promise<Catalogue>> = {
  en: () => Promise.resolve(en),
  de: async () => (await import('./de')).de,
};

class Words {
  language = $state<Language>('en');
  table = $state.raw<Catalogue>(en);
  plural = $derived(new Intl.PluralRules(this.language));
  /** The reader's own dates: language from here, habits of the region from the browser. */
  locale = $derived(navigator.languages.find((l) => l.startsWith(this.language)) ?? this.language);
  number = $derived(new Intl.NumberFormat(this.locale));
}

export const words = new Words();

export async function speak(language: Language): Promise<void> {
  const table = (catalogues[language] ??= await load[language]());
  words.table = table;
  words.language = language;
  document.documentElement.lang = language;
  document.documentElement.dir = 'ltr';
}

/** The best of ours among what the browser asks for. */
export function preferred(): Language {
  for (const wanted of navigator.languages) {
    const found = LANGUAGES.find((l) => wanted.toLowerCase().startsWith(l.code));
    if (found) return found.code;
  }
  return 'en';
}

export type Values = Record<string, string | number>;

/** Of whom something is said: one other, the reader himself, several. `[hat|hast|haben]` in an entry is for these. */
export const PERSON = { other: 0, you: 1, several: 2 } as const;

/** Whether there are words for it: codes of the node may be newer than this page. */
export function known(key: string): key is Key {
  return key in en;
}

/** The words for `key`; `{name}` stands for a value, `n` chooses the plural, and `person` of `[|]` the form. */
export function t(key: Key, values: Values = {}): string {
  const entry = words.table[key];
  const form =
    typeof entry === 'string'
      ? entry
      : (entry[words.plural.select(Number(values.n ?? 0)) as 'one' | 'other'] ?? entry.other);
  // Before the values: what is a name stays as it is.
  const said = form.replace(/\[([^[\]]*\|[^[\]]*)\]/g, (_, forms: string) => {
    const list = forms.split('|');
    return list[Number(values.person ?? 0)] ?? list[0]!;
  });
  return said.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    return typeof value === 'number' ? words.number.format(value) : (value ?? '');
  });
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = words.locale + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(words.locale, options);
    formats.set(key, found);
  }
  return found;
}

export function time(at: string): string {
  return format({ hour: '2-digit', minute: '2-digit' }).format(new Date(at));
}

export function dateTime(at: string): string {
  return format({ dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at));
}

const DAY_MS = 86_400_000;

function daysAgo(at: Date): number {
  const start = (d: Date): number => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  return Math.round((start(new Date()) - start(at)) / DAY_MS);
}

/** A day as a heading: today, yesterday, a weekday, a date; `lasting` in words that are still true tomorrow. */
export function day(at: string, lasting = false): string {
  const d = new Date(at);
  const ago = lasting ? Infinity : daysAgo(d);
  if (ago === 0) return t('day.today');
  if (ago === 1) return t('day.yesterday');
  if (ago > 1 && ago < 7) return format({ weekday: 'long' }).format(d);
  return format({
    weekday: 'short',
    day: 'numeric',
    month: 'long',
    ...((lasting || d.getFullYear() !== new Date().getFullYear()) && { year: 'numeric' }),
  }).format(d);
}

/** A moment as short as a list has room for. */
export function when(at: string): string {
  const d = new Date(at);
  const ago = daysAgo(d);
  if (ago === 0) return time(at);
  if (ago === 1) return t('day.yesterday');
  if (ago > 1 && ago < 7) return format({ weekday: 'short' }).format(d);
  return format({ day: '2-digit', month: '2-digit', year: '2-digit' }).format(d);
}

const UNITS = ['B', 'kB', 'MB', 'GB'] as const;

export function size(bytes: number): string {
  let n = bytes;
  let unit = 0;
  while (n >= 1000 && unit < UNITS.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${words.number.format(Math.round(n * (n < 10 && unit > 0 ? 10 : 1)) / (n < 10 && unit > 0 ? 10 : 1))} ${UNITS[unit]}`;
}

/** Seconds as minutes and seconds, for media. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}
