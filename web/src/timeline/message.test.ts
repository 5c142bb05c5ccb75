// What is said about a message beside its text.
import { render } from '@testing-library/svelte';
import { expect, test } from 'vitest';
import type { Message as Said } from '../api/types';
import { said } from '../store/said';
import { replace } from '../store/window';
import Message from './Message.svelte';

const shown = (message: Said): string =>
  render(Message, {
    message,
    room: undefined,
    first: true,
    last: true,
    own: false,
    onmenu: () => undefined,
    onreact: () => undefined,
    onreply: () => undefined,
    onjump: () => undefined,
  }).container.textContent ?? '';

test('a message under old keys says who may read it, and no other does', () => {
  expect(shown(said('1', { unsafe_epoch: true }))).toContain('somebody who is out may read it');
  expect(shown(said('2'))).not.toContain('who is out');
});

test('what is quoted says that it was written under old keys, and nothing does that was deleted', () => {
  const quote = {
    message: 'm1',
    author: { account: 'bob', name: 'Bob' },
    kind: 'text',
    text: 'old',
    deleted: false,
  } as const;
  const answer = (more: object): string => shown(said('2', { reply_to: 'm1', reply: { ...quote, ...more } }));
  expect(answer({ unsafe_epoch: true })).toContain('somebody who is out may read it');
  expect(answer({})).not.toContain('who is out');
  expect(answer({ unsafe_epoch: true, deleted: true, text: '' })).not.toContain('who is out');
});

test('an answer takes the mark over from another version of what it quotes', () => {
  const reply = { message: 'm1', author: said('1').author, kind: 'text', text: 'a', deleted: false } as const;
  const held = { items: [said('2', { reply_to: 'm1', reply })], older: null, newer: null };
  const quoted = (more: Partial<Said>): boolean | undefined =>
    replace(held, said('1', more)).items[0]!.reply?.unsafe_epoch;
  expect(quoted({ unsafe_epoch: true })).toBe(true);
  expect(quoted({})).toBe(false);
  expect(quoted({ unsafe_epoch: true, deleted: true })).toBe(false);
});
