// The page locks itself when nobody is there: in any window.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { autoLock } from './autolock.svelte';
import { session } from './session.svelte';

const MINUTE_MS = 60_000;
let locks: ReturnType<typeof vi.fn>;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  session.state = 'in';
  session.door = { state: 'ready', passphrase: true };
  locks = vi.fn(() => Promise.resolve());
  session.lock = locks as typeof session.lock;
  autoLock.set('5');
  stop = autoLock.watch();
  dispatchEvent(new Event('keydown'));
});
afterEach(() => {
  stop();
  autoLock.set('0');
  vi.useRealTimers();
});

test('a window that lies behind does not lock the one that is used', () => {
  vi.advanceTimersByTime(4 * MINUTE_MS);
  // As another window of this browser says it.
  localStorage.setItem('parlor.touched', String(Date.now()));
  vi.advanceTimersByTime(4 * MINUTE_MS);
  expect(locks).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2 * MINUTE_MS);
  expect(locks).toHaveBeenCalled();
});

test('whoever uses this one keeps it open, and tells the others', () => {
  vi.advanceTimersByTime(4 * MINUTE_MS);
  dispatchEvent(new Event('keydown'));
  expect(Number(localStorage.getItem('parlor.touched'))).toBe(Date.now());
  vi.advanceTimersByTime(4 * MINUTE_MS);
  expect(locks).not.toHaveBeenCalled();
});

test('a clock that was ahead keeps nothing open once it is right', () => {
  const right = Date.now();
  vi.setSystemTime(right + 24 * 60 * MINUTE_MS);
  dispatchEvent(new Event('keydown'));
  vi.setSystemTime(right);
  vi.advanceTimersByTime(4 * MINUTE_MS);
  expect(locks).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2 * MINUTE_MS);
  expect(locks).toHaveBeenCalled();
});
