// What went wrong is said in the reader's language, as far as the page has words for it.
import { afterEach, expect, test } from 'vitest';
import { Trouble } from '../api/client';
import { speak } from '../i18n/i18n.svelte';
import { inWords, sentence } from './toasts.svelte';

afterEach(() => speak('en'));

const full = new Trouble('disk_full', 'the disk of this home has 3 MiB left', 'make room', 507);

test('in English the node’s own words stand, which say more than its codes', () => {
  expect(inWords(full)).toEqual({ text: 'The disk of this home has 3 MiB left', hint: 'Make room' });
});

test('in another language the code is put into words, and a code that the page does not know is told as the node told it', async () => {
  await speak('de');
  expect(inWords(full).text).toBe('Die Platte ist voll');
  expect(inWords(new Trouble('rate_limited', 'x', 'y', 429)).hint).toBe('Versuche es gleich noch einmal.');
  // What a code leaves open is said by the node, in its own words.
  const why = new Trouble('not_permitted', 'you were removed by Alice', 'ask somebody of the room', 403);
  expect(inWords(why).hint).toBe('You were removed by Alice. Ask somebody of the room');
  const newer = new Trouble('of_tomorrow', 'something new', 'do something', 409);
  expect(inWords(newer)).toEqual({ text: 'Something new', hint: 'Do something' });
});

test('why somebody is not let in, a code that says little, is told in every language by another one', async () => {
  await speak('de');
  const refused = new Trouble('join_refused', 'refused by a moderator', 'ask the one who invited you', 403, 'declined');
  expect(inWords(refused)).toEqual({ text: 'Deine Anfrage wurde abgelehnt', hint: 'Frage, wer dich eingeladen hat.' });
});

test('what is to be typed stays as it is typed', () => {
  expect(sentence('parlor outbox list says why')).toBe('parlor outbox list says why');
  expect(sentence('wait a moment')).toBe('Wait a moment');
});
