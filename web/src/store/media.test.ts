// Pictures are held by what they weigh, and never taken from under who shows them.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { event, node } from '../api/asked';
import { forgetGone } from '../timeline/gone';
import { filePath, picture, Pictures } from './media';

let revoked: string[];
beforeEach(() => {
  revoked = [];
  let n = 0;
  vi.spyOn(URL, 'createObjectURL').mockImplementation(() => `blob:${++n}`);
  vi.spyOn(URL, 'revokeObjectURL').mockImplementation((url) => void revoked.push(url));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});
const calm = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

test('what is shown stays, however much there is; what nobody shows goes when it is too much', async () => {
  node(() => new Response('x'.repeat(10)));
  const gone: string[] = [];
  const pictures = new Pictures(25, (path) => gone.push(path));
  const shown = ['/a', '/b', '/c', '/d'].map((path) => pictures.show(path, 'image/png'));
  await Promise.all(shown.map((one) => one.url));
  await calm();
  expect(revoked).toEqual([]);
  // Two windows on one picture: it is shown until both are closed.
  const twice = pictures.show('/a', 'image/png');
  shown[0]!.end();
  shown[0]!.end();
  expect(gone).toEqual([]);
  shown[1]!.end();
  await calm();
  expect([gone, revoked]).toEqual([['/b'], ['blob:2']]);
  twice.end();
  await calm();
  expect([gone, revoked]).toEqual([
    ['/b', '/a'],
    ['blob:2', 'blob:1'],
  ]);
});

test('all of a list that is left and shown again at once stay', async () => {
  const asked = node(() => new Response('x'.repeat(10)));
  const pictures = new Pictures(2_000);
  const paths = Array.from({ length: 150 }, (_, i) => `/${i}`);
  const first = paths.map((path) => pictures.show(path, 'image/png'));
  await Promise.all(first.map((one) => one.url));
  for (const one of first) one.end();
  const again = await Promise.all(paths.map((path) => pictures.show(path, 'image/png').url));
  await calm();
  expect(again.filter((url) => revoked.includes(url))).toEqual([]);
  expect(asked).toHaveLength(150);
});

test.each([
  ['disappeared', event('message.expired', { room: 'r', message: 'm1' })],
  ['was deleted', event('message.updated', { room: 'r', message: 'm1', deleted: true })],
])('nothing is kept of the pictures of a message that %s', async (_, told) => {
  const asked = node(() => new Response('x'));
  const [one, other] = [filePath('r', 'm1', 0), filePath('r', 'm2', 0)].map((path) => picture(path, 'image/png'));
  const [url] = await Promise.all([one!.url, other!.url]);
  other!.end();
  forgetGone(told);
  expect(revoked).toEqual([]);
  one!.end();
  await calm();
  expect(revoked).toEqual([url]);
  const before = asked.length;
  picture(filePath('r', 'm1', 0), 'image/png').end();
  await vi.waitFor(() => expect(asked).toHaveLength(before + 1));
  forgetGone(told);
});
