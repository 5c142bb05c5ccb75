// The square never leaves the picture, and follows the hand.
import { expect, test } from 'vitest';
import { begin, moved, square, within, zoomMax } from './portrait';

const wide = { width: 400, height: 200 };

test('it begins as the largest square in the middle', () => {
  expect(square(wide, begin)).toEqual({ left: 100, top: 0, side: 200 });
});

test('it follows the hand, and stops at the edges', () => {
  const right = moved(wide, begin, -0.25, 0);
  expect(square(wide, right)).toEqual({ left: 150, top: 0, side: 200 });
  const far = moved(wide, right, -9, -9);
  expect(square(wide, far)).toEqual({ left: 200, top: 0, side: 200 });
  expect(square(wide, moved(wide, far, 99, 99)).left).toBe(0);
});

test('made larger it can move both ways, and made small again it comes back in', () => {
  const near = within(wide, { x: 1, y: 1, zoom: 2 });
  expect(square(wide, near)).toEqual({ left: 300, top: 100, side: 100 });
  expect(square(wide, within(wide, { ...near, zoom: 0 }))).toEqual({ left: 200, top: 0, side: 200 });
});

test('a picture is made no larger than there is something to be seen', () => {
  expect(zoomMax(wide)).toBeCloseTo(200 / 48);
  expect(zoomMax({ width: 10, height: 5_000 })).toBe(1);
  expect(zoomMax({ width: 9_000, height: 9_000 })).toBe(8);
  const tiny = within({ width: 1, height: 1 }, { x: 7, y: -7, zoom: 100 });
  expect(tiny).toEqual(begin);
});
