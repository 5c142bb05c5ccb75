// What is said about a message beside its text.
import { render } from '@testing-library/svelte';
import { expect, test } from 'vitest';
import type { Message as Said } from '../api/types';
import { said } from '../store/said';
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
