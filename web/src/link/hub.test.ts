// The connection to the events of the node: breaks, gaps, refusals, with a socket and a clock of the test.
import { beforeEach, describe, expect, test } from 'vitest';
import { Hub, type Told } from './hub';

class Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  constructor(
    readonly ticket: string,
    readonly since: number,
  ) {}
  close(): void {
    this.onclose?.();
  }
  event(seq: number, event = 'room', more: object = {}): void {
    this.onmessage?.({ data: JSON.stringify({ event, seq, at: '', ...more }) });
  }
}

let sockets: Socket[];
let told: Told[];
let timers: { ms: number; call: () => void }[];
let answer: () => Promise<string | null>;
let hub: Hub;

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
const seqs = (): number[] => told.flatMap((t) => (t.kind === 'event' ? [t.event.seq] : []));

async function fire(): Promise<void> {
  timers.shift()?.call();
  await settle();
}

beforeEach(() => {
  sockets = [];
  told = [];
  timers = [];
  let n = 0;
  answer = () => Promise.resolve(`ticket ${++n}`);
  hub = new Hub(
    {
      ticket: () => answer(),
      socket: (ticket, since) => {
        const socket = new Socket(ticket, since);
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      later: (ms, call) => {
        const timer = { ms, call };
        timers.push(timer);
        return () => (timers = timers.filter((t) => t !== timer));
      },
    },
    (t) => told.push(t),
  );
});

describe('the hub', () => {
  test('continues after a break where it stopped, with a fresh ticket', async () => {
    await hub.connect();
    expect(sockets[0]).toMatchObject({ ticket: 'ticket 1', since: 0 });
    sockets[0]!.onopen?.();
    sockets[0]!.event(7);
    sockets[0]!.event(12);
    sockets[0]!.close();
    await fire();
    expect(sockets[1]).toMatchObject({ ticket: 'ticket 2', since: 12 });
  });

  test('tells an event once, although the node repeats it', async () => {
    await hub.connect();
    for (const seq of [5, 5, 3, 6]) sockets[0]!.event(seq);
    expect(seqs()).toEqual([5, 6]);
  });

  test('has windows read everything again when it fell behind, and begins anew', async () => {
    await hub.connect();
    sockets[0]!.event(40);
    sockets[0]!.event(0, 'error', { code: 'fell_behind' });
    expect(told.at(-1)).toEqual({ kind: 'reload' });
    sockets[0]!.close();
    await fire();
    expect(sockets[1]!.since).toBe(0);
    sockets[1]!.event(3);
    expect(seqs()).toEqual([40, 3]);
  });

  test('waits longer each time nobody answers, and not at all when the network comes back', async () => {
    answer = () => Promise.reject(new Error('away'));
    await hub.connect();
    const pauses: number[] = [];
    for (let i = 0; i < 8; i++) {
      pauses.push(timers[0]!.ms);
      await fire();
    }
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
    expect(Math.max(...pauses)).toBeLessThanOrEqual(8_000);
    expect(hub.state).toBe('offline');
    answer = () => Promise.resolve('t');
    hub.hurry();
    await settle();
    expect(sockets).toHaveLength(1);
    expect(timers).toHaveLength(0);
  });

  test('asks no more when the node does not know the token, until there is another', async () => {
    answer = () => Promise.resolve(null);
    await hub.connect();
    expect(told).toContainEqual({ kind: 'unauthorized' });
    expect(timers).toHaveLength(0);
    answer = () => Promise.resolve('t');
    hub.restart();
    await settle();
    expect(sockets).toHaveLength(1);
  });

  test('keeps one socket, however often it is told to connect', async () => {
    await Promise.all([hub.connect(), hub.connect(), hub.connect()]);
    hub.hurry();
    await settle();
    expect(sockets).toHaveLength(1);
  });

  test('remembers that a token was refused, so that a window whose own is good can connect with it', async () => {
    answer = () => Promise.resolve(null);
    await hub.connect();
    expect(hub.refused).toBe(true);
    answer = () => Promise.resolve('t');
    hub.restart();
    await settle();
    expect(hub.refused).toBe(false);
    expect(sockets).toHaveLength(1);
  });

  test('what the node says of an older token ends nothing for the new one', async () => {
    let late: ((ticket: string | null) => void) | undefined;
    answer = () => new Promise((resolve) => (late = resolve));
    void hub.connect();
    answer = () => Promise.resolve('t');
    hub.restart();
    late!(null);
    await settle();
    expect([hub.refused, sockets.length]).toEqual([false, 1]);
    expect(told).not.toContainEqual({ kind: 'unauthorized' });
  });
});
