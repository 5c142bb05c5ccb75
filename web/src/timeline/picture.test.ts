// Pictures of members: whatever they are, no press takes one off the disk, and each can be saved.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { node, type Asked } from '../api/asked';
import type { FileInfo, Message } from '../api/types';
import { said } from '../store/said';
import Files from './Files.svelte';
import { lightbox } from './lightbox.svelte';
import PictureFile from './PictureFile.svelte';

const MIB = 1024 * 1024;
const file = (more: Partial<FileInfo> = {}): FileInfo =>
  ({ name: 'sea.png', mime: 'image/png', bytes: 4, state: 'here', ...more }) as FileInfo;
let n = 0;
const sent = (of: FileInfo): Message => said(`p${++n}`, { kind: 'file', text: '', files: [of] });
const props = (message: Message): { message: Message; file: FileInfo; index: number; tile: boolean } => ({
  message,
  file: message.files[0]!,
  index: 0,
  tile: false,
});
const given = (): Asked[] =>
  node((a) => (a.path.includes('/files/') ? new Response('what') : Response.json({ links: ['#signed'] })));
const broken = async (view: { container: HTMLElement }): Promise<void> => {
  const img = (): HTMLImageElement | null => view.container.querySelector('img');
  await vi.waitFor(() => expect(img()).not.toBeNull());
  img()!.dispatchEvent(new Event('error'));
};

afterEach(() => {
  cleanup();
  lightbox.close();
  vi.unstubAllGlobals();
});

test('a press on a picture that cannot be shown takes nothing off the disk: it can be saved', async () => {
  const asked = given();
  const view = render(PictureFile, props(sent(file())));
  await broken(view);
  const press = await vi.waitFor(() => view.getAllByRole('button')[0]!);
  press.click();
  await new Promise((resolve) => setTimeout(resolve));
  expect(asked.filter((a) => a.method === 'DELETE')).toEqual([]);
  expect(lightbox.shown).toBeNull();
  expect(view.getAllByRole('button', { name: 'Save sea.png' })).not.toEqual([]);
});

test('a picture that was broken is read again once it was fetched again', async () => {
  const asked = given();
  const m = sent(file());
  const view = render(PictureFile, props(m));
  await broken(view);
  await vi.waitFor(() => expect(view.container.querySelector('img')).toBeNull());
  await view.rerender({ file: file({ state: 'remote' }) });
  await view.rerender({ file: file() });
  await vi.waitFor(() => expect(view.container.querySelector('img')).not.toBeNull());
  expect(asked.filter((a) => a.path.endsWith('/files/0'))).toHaveLength(2);
});

test('a picture that is coming says that a press stops it, and one that is not that it fetches it', async () => {
  const asked = given();
  const view = render(PictureFile, props(sent(file({ state: 'waiting' }))));
  view.getByRole('button', { name: 'Stop fetching sea.png' }).click();
  await vi.waitFor(() => expect(asked.filter((a) => a.method === 'DELETE')).toHaveLength(1));
  const far = sent(file({ state: 'remote' }));
  render(PictureFile, props(far)).getByRole('button', { name: 'Fetch sea.png' }).click();
  await vi.waitFor(() => expect(asked.filter((a) => a.method === 'POST')).toHaveLength(1));
});

test('a picture that is too large to be held as a whole is a file like others', () => {
  const asked = given();
  const { container } = render(Files, { message: sent(file({ bytes: 3000 * MIB })) });
  expect(container.querySelector('.picture')).toBeNull();
  expect(container.querySelector('.file')).not.toBeNull();
  expect(asked).toEqual([]);
});
