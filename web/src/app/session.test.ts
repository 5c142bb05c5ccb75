// One session, one lock: a window that another one locked shows nothing any more.
import { afterEach, expect, test, vi } from 'vitest';
import { GET, ok } from '../api/client';
import { node, refused } from '../api/asked';
import { session } from './session.svelte';

afterEach(() => vi.unstubAllGlobals());

test('a window that another one locked is locked', async () => {
  session.state = 'in';
  session.token = 't';
  node(() => refused('passphrase_needed', 503));
  await ok(GET('/api/v1/status')).catch(() => undefined);
  expect(session.state).toBe('locked');
});

test('so is one whose connection ended because the page was locked elsewhere, and none whose node is away', async () => {
  session.state = 'in';
  node(() => {
    throw new TypeError('away');
  });
  await session.check();
  expect(session.state).toBe('in');
  node(() => Response.json({ state: 'locked', passphrase: true }));
  await session.check();
  expect(session.state).toBe('locked');
});
