// The words of the page, in German.
import { frame } from './de/frame';
import { people } from './de/people';
import { rooms } from './de/rooms';
import { settings } from './de/settings';
import { talk } from './de/talk';
import type { Catalogue } from './en';

export const de: Catalogue = { ...frame, ...talk, ...rooms, ...people, ...settings };
