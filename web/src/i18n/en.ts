// The words of the page, in English: every other catalogue has the same keys, which the compiler checks.
import { frame } from './en/frame';
import { people } from './en/people';
import { rooms } from './en/rooms';
import { settings } from './en/settings';
import { talk } from './en/talk';
import { wrong } from './en/wrong';
import type { Like } from './entry';

export const en = { ...frame, ...talk, ...wrong, ...rooms, ...people, ...settings } as const;

export type Key = keyof typeof en;
export type Catalogue = Like<typeof en>;
