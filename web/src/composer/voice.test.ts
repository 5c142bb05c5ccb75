// What was spoken is lost by no room that is left, no lock and no key that was meant for something else.
import { cleanup, render } from '@testing-library/svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { detail, node } from '../api/asked';
import { autoLock } from '../app/autolock.svelte';
import { session } from '../app/session.svelte';
import { store } from '../store/store.svelte';
import Composer from './Composer.svelte';
import { composeOf, unkept, type Compose } from './state.svelte';

const MINUTE_MS = 60_000;

class Recorder {
  static isTypeSupported = (): boolean => true;
  state = 'inactive';
  ondataavailable: (event: { data: Blob }) => void = () => undefined;
  onstop: () => void = () => undefined;
  start(): void {
    this.state = 'recording';
  }
  stop(): void {
    this.state = 'inactive';
    queueMicrotask(() => {
      this.ondataavailable({ data: new Blob(['spoken']) });
      this.onstop();
    });
  }
}
class Sounds {
  createAnalyser = (): object => ({ fftSize: 8, getByteTimeDomainData: () => undefined });
  createMediaStreamSource = (): object => ({ connect: () => undefined });
  close = (): Promise<void> => Promise.resolve();
}

beforeEach(() => {
  vi.useFakeTimers();
  node(() => Response.json({ text: '' }));
  vi.stubGlobal('MediaRecorder', Recorder);
  vi.stubGlobal('AudioContext', Sounds);
  vi.stubGlobal(
    'XMLHttpRequest',
    class {
      upload = new EventTarget();
      open(): void {}
      setRequestHeader(): void {}
      addEventListener(): void {}
      send(): void {}
    },
  );
  const stream = { getTracks: () => [{ stop: () => undefined }] };
  vi.stubGlobal('navigator', { mediaDevices: { getUserMedia: () => Promise.resolve(stream) } });
});
afterEach(async () => {
  cleanup();
  await vi.advanceTimersByTimeAsync(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

interface View {
  container: HTMLElement;
  unmount: () => void;
}
/** A recording of some seconds, going on. */
async function recording(room: string): Promise<{ view: View; c: Compose }> {
  const view = render(Composer, { line: store.timeline(room), room: detail(room) });
  view.getByRole('button', { name: 'Record a voice message' }).click();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(view.container.querySelector('.voice')).not.toBeNull();
  return { view, c: composeOf(room) };
}
const escape = (): Event => new KeyboardEvent('keydown', { key: 'Escape', bubbles: true, cancelable: true });

test('what was recorded is attached where it was begun when the room is left, or the page locks itself', async () => {
  const { view, c } = await recording('v1');
  view.unmount();
  await vi.advanceTimersByTimeAsync(0);
  expect(c.files.map((f) => [f.name.startsWith('voice-'), f.bytes])).toEqual([[true, 6]]);
});

test('Escape elsewhere throws no recording away; at the recording it does', async () => {
  const { view, c } = await recording('v2');
  document.body.dispatchEvent(escape());
  await vi.advanceTimersByTimeAsync(0);
  const shown = (): Element | null => view.container.querySelector('.voice');
  expect(shown()).not.toBeNull();
  shown()!.querySelector('button')!.dispatchEvent(escape());
  await vi.advanceTimersByTimeAsync(0);
  expect(shown()).toBeNull();
  view.unmount();
  await vi.advanceTimersByTimeAsync(0);
  expect(c.files).toEqual([]);
});

test('who speaks is there: nothing locks, and a window that is closed asks first', async () => {
  session.state = 'in';
  session.door = { state: 'ready', passphrase: true };
  const lock = vi.spyOn(session, 'lock').mockResolvedValue();
  autoLock.set('5');
  const stop = autoLock.watch();
  expect(unkept()).toBe(true);
  composeOf('v1').clearFiles();
  expect(unkept()).toBe(false);
  const { view, c } = await recording('v3');
  expect(unkept()).toBe(true);
  vi.setSystemTime(Date.now() + 10 * MINUTE_MS);
  await vi.advanceTimersByTimeAsync(MINUTE_MS / 2);
  expect(lock).not.toHaveBeenCalled();
  view.unmount();
  await vi.advanceTimersByTimeAsync(6 * MINUTE_MS);
  expect(lock).toHaveBeenCalled();
  // On its way to the node it is not kept yet.
  expect(unkept()).toBe(true);
  c.clearFiles();
  expect(unkept()).toBe(false);
  stop();
  autoLock.set('0');
});
