// The worker between windows and the hub: it connects for who is there, at once for who comes, and rests while nobody is.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Told } from './hub';
import type { Said } from './worker';

interface Port {
  onmessage: ((event: { data: Said }) => void) | null;
  told: Told[];
  postMessage(told: Told): void;
}

let asked = 0;
let answer: () => Response;
let sockets: { onopen: (() => void) | null; onclose: (() => void) | null }[];

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  asked = 0;
  sockets = [];
  answer = () => Response.json({ ticket: 't' });
  vi.stubGlobal('fetch', () => (asked++, Promise.resolve(answer())));
  vi.stubGlobal(
    'WebSocket',
    class {
      onopen = null;
      onclose = null;
      constructor() {
        sockets.push(this);
      }
    },
  );
  await import('./worker');
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function window(): Port {
  const port: Port = { onmessage: null, told: [], postMessage: (told) => void port.told.push(told) };
  (globalThis as unknown as { onconnect: (event: object) => void }).onconnect({ ports: [port] });
  return port;
}
const say = (port: Port, said: Said): void => port.onmessage?.({ data: said });
const hello = (port: Port): void => say(port, { kind: 'hello', token: 'one' });
const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

test('who comes back with the same token, as after unlocking, is connected at once', async () => {
  answer = () => new Response(null, { status: 503 });
  const [one, other] = [window(), window()];
  hello(one);
  hello(other);
  await pass(20_000);
  answer = () => Response.json({ ticket: 't' });
  hello(other);
  await pass(10);
  expect(sockets).toHaveLength(1);
});

test('nobody is asked for anything while no window is there, and the next one is connected at once', async () => {
  const one = window();
  hello(one);
  await pass(10);
  sockets[0]!.onopen!();
  say(one, { kind: 'bye' });
  sockets[0]!.onclose!();
  asked = 0;
  await pass(60_000);
  expect(asked).toBe(0);
  const next = window();
  hello(next);
  await pass(10);
  expect([asked, sockets.length]).toEqual([1, 2]);
  // It is told nothing of the rest.
  expect(next.told).toEqual([{ kind: 'state', state: 'connecting' }]);
  sockets[1]!.onopen!();
  expect(next.told.at(-1)).toEqual({ kind: 'state', state: 'open' });
});

test('a pause that was begun ends with the last window', async () => {
  answer = () => new Response(null, { status: 503 });
  const one = window();
  hello(one);
  await pass(2_000);
  say(one, { kind: 'bye' });
  asked = 0;
  await pass(60_000);
  expect(asked).toBe(0);
});
