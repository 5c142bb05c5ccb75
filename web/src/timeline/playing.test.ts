// A film that was put aside plays on, also when the link it began with is over.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { node } from '../api/asked';
import type { FileInfo } from '../api/types';
import { said } from '../store/said';
import FilmFile from './FilmFile.svelte';
import SoundFile from './SoundFile.svelte';

const MINUTE_MS = 60_000;
let n = 0;
beforeEach(() => {
  vi.useFakeTimers();
  let links = 0;
  node((a) => Response.json(a.path.endsWith('/links') ? { links: [`/film?signed=${++links}`] } : {}));
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe.each([
  ['film', FilmFile, 'video', 'video/mp4', 'Play sea'],
  ['sound', SoundFile, 'audio', 'audio/ogg', 'Play'],
] as const)('a %s', (_, component, tag, mime, play) => {
  const begun = async (): Promise<{ container: HTMLElement; media: () => HTMLMediaElement }> => {
    const files = [{ name: 'sea', mime, bytes: 9, state: 'here' } as FileInfo];
    const { container, getByRole } = render(component, {
      message: said(`f${++n}`, { files }),
      file: files[0]!,
      index: 0,
    });
    getByRole('button', { name: play }).click();
    const media = (): HTMLMediaElement => container.querySelector<HTMLMediaElement>(tag)!;
    await vi.waitFor(() => expect(media()).not.toBeNull());
    return { container, media };
  };
  const fail = (media: HTMLMediaElement): boolean => media.dispatchEvent(new Event('error'));

  test('goes on where it was with a new link once the old one is over, and is given up if that fails too', async () => {
    const { container, media } = await begun();
    const first = media().src;
    vi.setSystemTime(Date.now() + 16 * MINUTE_MS);
    media().currentTime = 50;
    fail(media());
    await vi.waitFor(() => expect(media().src).not.toBe(first));
    await vi.waitFor(() => expect(media().currentTime).toBe(50));
    expect(container.querySelector('.file')).toBeNull();
    fail(media());
    await vi.waitFor(() => expect(container.querySelector('.file')).not.toBeNull());
  });

  test('that cannot be played is a file like others', async () => {
    const { container, media } = await begun();
    fail(media());
    await vi.waitFor(() => expect(container.querySelector('.file')).not.toBeNull());
  });
});
