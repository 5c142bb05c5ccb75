// A poll: each press counts, also where the answer to the one before is still awaited.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { node, refused } from '../api/asked';
import type { Message } from '../api/types';
import { said } from '../store/said';
import { store } from '../store/store.svelte';
import PollCard from './PollCard.svelte';

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  store.status = null;
});

const poll = (mine: number[]): Message =>
  said('1', {
    kind: 'poll',
    poll: {
      several: true,
      voters: mine.length > 0 ? 1 : 0,
      options: ['a', 'b', 'c'].map((text, i) => ({ text, votes: mine.includes(i) ? ['me'] : [] })),
    } as never,
  });

function shown(message: Message): HTMLButtonElement[] {
  store.status = { account: 'me' } as never;
  return [...render(PollCard, { message, room: undefined }).container.querySelectorAll('button')];
}
const pressed = (buttons: HTMLButtonElement[]): (string | null)[] => buttons.map((b) => b.getAttribute('aria-pressed'));

test('of two quick votes in a poll with several answers both count, and go out one after the other', async () => {
  const given: (() => void)[] = [];
  const asked = node((a) => {
    const { choices } = a.body as { choices: number[] };
    return new Promise((resolve) => given.push(() => resolve(Response.json(poll(choices)))));
  });
  const buttons = shown(poll([]));
  buttons[0]!.click();
  buttons[1]!.click();
  await vi.waitFor(() => expect(given).toHaveLength(1));
  expect(pressed(buttons)).toEqual(['true', 'true', 'false']);
  given[0]!();
  await vi.waitFor(() => expect(given).toHaveLength(2));
  expect(asked.map((a) => a.body)).toEqual([{ choices: [0] }, { choices: [0, 1] }]);
  given[1]!();
});

test('a vote that is refused is not shown as given', async () => {
  let answer: ((response: Response) => void) | undefined;
  node(() => new Promise((resolve) => (answer = resolve)));
  const buttons = shown(poll([2]));
  buttons[0]!.click();
  await vi.waitFor(() => expect(pressed(buttons)).toEqual(['true', 'false', 'true']));
  await vi.waitFor(() => expect(answer).toBeDefined());
  answer!(refused('not_permitted', 403));
  await vi.waitFor(() => expect(pressed(buttons)).toEqual(['false', 'false', 'true']));
});
