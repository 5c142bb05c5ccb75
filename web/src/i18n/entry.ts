// What a catalogue holds for a key.

/** Words, with or without a plural; `{name}` in them stands for a value. */
export type Entry = string | { one: string; other: string };

/** Another language's words for the same keys. */
export type Like<Words> = Readonly<Record<keyof Words, Entry>>;
