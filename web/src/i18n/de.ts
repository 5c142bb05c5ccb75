// The words of the page, in German.
import { frame } from './de/frame';
import { people } from './de/people';
import { rooms } from './de/rooms';
import { settings } from './de/settings';
import { talk } from './de/talk';
import { wrong } from './de/wrong';
import type { Catalogue } from './en';

export const de: Catalogue = { ...frame, ...talk, ...wrong, ...rooms, ...people, ...settings };
