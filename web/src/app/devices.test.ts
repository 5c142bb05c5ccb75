// A device that came to this account is said in front of everything, until it is known or revoked.
import { cleanup, fireEvent, render } from '@testing-library/svelte';
import { afterEach, expect, test, vi } from 'vitest';
import { node } from '../api/asked';
import { store } from '../store/store.svelte';
import NewDevices from './NewDevices.svelte';

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

test('a new device of the account is said until somebody says that it is his', async () => {
  const phone = { device: 'd'.repeat(64), name: 'phone', this: false, online: true, rooms: ['r'], revoked: false };
  let confirmed = false;
  node((a) => {
    if (a.path.endsWith('/confirm')) confirmed = true;
    return Response.json(a.path.endsWith('/devices') ? [{ ...phone, new: !confirmed }] : { ...phone, new: false });
  });
  await store.loadDevices();
  const view = render(NewDevices);
  expect(view.getByRole('alert').textContent).toContain('phone');
  await fireEvent.click(view.getByText('It is mine'));
  await vi.waitFor(() => expect(view.queryByRole('alert')).toBeNull());
});
