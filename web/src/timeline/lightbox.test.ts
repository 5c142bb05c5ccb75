// The large picture is the one whose name stands above it, as long as its message is there.
import { cleanup, render } from '@testing-library/svelte';
import { flushSync } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { event, node } from '../api/asked';
import type { FileInfo } from '../api/types';
import { said } from '../store/said';
import { forgetGone } from './gone';
import Lightbox from './Lightbox.svelte';
import { lightbox } from './lightbox.svelte';

const picture = (name: string): FileInfo => ({ name, mime: 'image/png', bytes: 4, state: 'here' }) as FileInfo;
const answers = new Map<string, (response: Response) => void>();

beforeEach(() => {
  answers.clear();
  node((a) => new Promise((resolve) => answers.set(a.path.at(-1)!, resolve)));
});
afterEach(() => {
  cleanup();
  lightbox.close();
  vi.unstubAllGlobals();
});

test('on a step the picture before is shown no more, and one that cannot be had says so', async () => {
  lightbox.open(said('l1', { files: [picture('one.png'), picture('two.png')] }), 0);
  const { container, getByRole } = render(Lightbox);
  await vi.waitFor(() => expect(answers.has('0')).toBe(true));
  answers.get('0')!(new Response('1'));
  await vi.waitFor(() => expect(container.querySelector('img')?.alt).toBe('one.png'));
  getByRole('button', { name: 'Next picture' }).click();
  flushSync();
  expect(container.querySelector('img')).toBeNull();
  await vi.waitFor(() => expect(answers.has('1')).toBe(true));
  answers.get('1')!(Response.json({ code: 'file_not_here' }, { status: 404 }));
  await vi.waitFor(() => expect(container.textContent).toContain('cannot be shown'));
  expect(getByRole('button', { name: 'Save two.png' })).toBeTruthy();
});

test('it closes with its message, and with no other', () => {
  for (const told of [
    event('message.expired', { room: 'r', message: 'ml2' }),
    event('message.updated', { room: 'r', message: 'ml2', deleted: true }),
  ]) {
    lightbox.open(said('l2', { files: [picture('one.png')] }), 0);
    forgetGone(event('message.expired', { room: 'r', message: 'another' }));
    forgetGone(event('message.updated', { room: 'r', message: 'ml2', deleted: false }));
    expect(lightbox.shown).not.toBeNull();
    forgetGone(told);
    expect(lightbox.shown).toBeNull();
  }
});
