// What the page costs in a real browser: a start, a key press, a message that comes, scrolling through a long room both ways, an hour of
// traffic. Prints a row of JSON for each, as the benches do (`xtask/src/bench.rs`). MESSAGES, PAST and TRAFFIC make it shorter.
import { loadavg } from 'node:os';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { context, launch, open, visit } from './browser';
import { eventually, fill, Node, roomOf } from './node';

/** Messages in the room that is scrolled through. */
const MESSAGES = Number(process.env.MESSAGES ?? 1_000_000);
/** Messages that are scrolled past, each way. */
const PAST = Math.min(MESSAGES - 1_000, Number(process.env.PAST ?? 100_000));
/** Messages of the accelerated hour: one a second. */
const TRAFFIC = Number(process.env.TRAFFIC ?? 3_600);
/** How much faster than an hour it goes. */
const FASTER = 20;
const STARTS = 7;
/** A list of rooms, the messages of one. */
const SEEN = ['.rooms .row', '.placed article'] as const;
const PRESSES = 30;
/** So far a frame moves the room: a hard throw of the wheel. */
const STEP_PX = 500;
const FRAME_MS_MAX = 32;

let browser: Browser;
let alice: Node;
let bob: Node;
let long: string;
let two: string;

beforeAll(async () => {
  [browser, alice, bob] = await Promise.all([launch(), Node.start('Alice'), Node.start('Bob')]);
  two = await roomOf(alice, [bob], 'Two');
  // With somebody who takes the messages: else they wait in the outbox, which has an end.
  long = await roomOf(alice, [bob], 'Long');
  const began = Date.now();
  await fill(alice, long, MESSAGES, text, (n) => {
    if (n % 50_000 === 0) say(`${n} messages after ${seconds(began)} s`);
  });
  say(`${MESSAGES} messages in ${seconds(began)} s; load ${load()}`);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([alice?.end(), bob?.end()]);
});

test('a start', async () => {
  const firsts: number[] = [];
  const rooms: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const within = await context(browser);
    await within.addInitScript((names) => {
      const left = new Set(names);
      const look = (): void => {
        for (const name of left) {
          if (document.querySelector(name) && left.delete(name)) performance.mark(`seen ${name}`);
        }
        if (left.size > 0) requestAnimationFrame(look);
      };
      look();
    }, SEEN);
    const page = await visit(within, alice.door());
    firsts.push(await shown(page, SEEN[0]));
    await page.evaluate((room) => (location.hash = `#/room/${room}`), long);
    await page.locator('.placed article').first().waitFor();
    await page.reload();
    rooms.push(await shown(page, SEEN[1]));
    await within.close();
  }
  row('from opening the page to the list of rooms, a browser that never saw it', median(firsts), 300);
  row(`from loading it again to the newest of ${count(MESSAGES)} messages`, median(rooms), 300);
});

test('a key press, and a message that comes', async () => {
  const page = await open(await context(browser), alice, `#/room/${two}`);
  const area = page.locator('.composer textarea');
  await area.waitFor();
  const pressed: number[] = [];
  for (let i = 0; i < PRESSES; i++) {
    await area.fill(`pressed ${i}.`);
    // The listener is there before the key is pressed.
    await page.evaluate((wanted) => {
      let from = 0;
      addEventListener('keydown', () => (from = performance.now()), { once: true, capture: true });
      (window as unknown as { seen: Promise<number> }).seen = new Promise((resolve) => {
        const look = (): void => {
          const there = [...document.querySelectorAll('article')].some((a) => a.textContent?.includes(wanted));
          if (there && from > 0) requestAnimationFrame(() => resolve(performance.now() - from));
          else requestAnimationFrame(look);
        };
        look();
      });
    }, `pressed ${i}.`);
    await page.keyboard.press('Enter');
    pressed.push(await page.evaluate(() => (window as unknown as { seen: Promise<number> }).seen));
  }
  row('from the key press to the frame that shows the message', median(pressed), 50);

  // The same event reaches this program and the page from one node; their clock is one.
  const stop = new AbortController();
  const heard = new Map<string, number>();
  void listen(alice, heard, stop.signal);
  await eventually(async () => heard.size >= 0 && heard.has('ready'), 'the stream begins');
  const came: number[] = [];
  for (let i = 0; i < PRESSES; i++) {
    const wanted = `came ${i}.`;
    const seen = page.evaluate(
      (words) =>
        new Promise<number>((resolve) => {
          const look = (): void => {
            const there = [...document.querySelectorAll('article')].some((a) => a.textContent?.includes(words));
            requestAnimationFrame(there ? () => resolve(Date.now()) : look);
          };
          look();
        }),
      wanted,
    );
    await bob.send(two, wanted);
    const at = await seen;
    came.push(at - (await eventually(async () => heard.get(wanted), 'the stream tells of it')));
  }
  stop.abort();
  row('from the event to the frame that shows the message', median(came), 100);
  await page.close();
});

test('scrolling both ways', async () => {
  const page = await open(await context(browser), alice, `#/room/${long}`);
  await page.locator('.placed article').first().waitFor();
  const up = await scroll(page, -STEP_PX, (n) => n <= MESSAGES - PAST);
  frames(`scrolling up past ${count(PAST)} of ${count(MESSAGES)} messages`, up);
  const down = await scroll(page, STEP_PX, (n) => n >= MESSAGES - 200);
  frames('scrolling down again past the same', down);
  expect(await page.locator('article').count()).toBeLessThan(200);
  await page.close();
});

test('an hour of traffic', async () => {
  const page = await open(await context(browser), alice, `#/room/${two}`);
  await page.locator('.composer textarea').waitFor();
  const debug = await page.context().newCDPSession(page);
  await debug.send('Performance.enable');
  const taken: { mb: number; nodes: number }[] = [];
  const began = Date.now();
  for (let i = 0; i < TRAFFIC; i++) {
    const from = i % 3 === 0 ? alice : bob;
    await from.send(two, text(i));
    if (i % 10 === 0) await bob.call('POST', `/rooms/${two}/typing`, { typing: true }).catch(() => undefined);
    if (i % Math.floor(TRAFFIC / 6) === Math.floor(TRAFFIC / 6) - 1) taken.push(await memory(debug));
    const due = began + ((i + 1) * 1000) / FASTER;
    if (due > Date.now()) await new Promise((resolve) => setTimeout(resolve, due - Date.now()));
  }
  const last = taken.at(-1)!;
  const middle = taken[Math.floor(taken.length / 2) - 1]!;
  say(`heap after each sixth: ${taken.map((t) => t.mb.toFixed(1)).join(', ')} MB; elements ${last.nodes}`);
  const faster = Math.round((TRAFFIC * 1000) / (Date.now() - began));
  print({
    what: `heap of the page after ${count(TRAFFIC)} messages in an open room, ${faster} a second`,
    ours: `${last.mb.toFixed(1)} MB`,
    beside: 'after half of them',
    theirs: `${middle.mb.toFixed(1)} MB`,
    ratio: (last.mb / middle.mb).toFixed(2),
    goal: '<= 1.1x',
    reached: last.mb <= middle.mb * 1.1,
  });
  await page.close();
});

/** Words of a message, some longer than others. */
function text(n: number): string {
  return `number ${n} ${'word '.repeat(n % 40)}`.trim();
}

/** Milliseconds from the beginning of the navigation to the frame in which something is there. */
async function shown(page: Page, selector: string): Promise<number> {
  await page.locator(selector).first().waitFor();
  return page.evaluate((name) => performance.getEntriesByName(name)[0]?.startTime ?? Number.NaN, `seen ${selector}`);
}

/** Events of a node by the text of their message, with when they came. */
async function listen(node: Node, heard: Map<string, number>, signal: AbortSignal): Promise<void> {
  const answer = await fetch(`${node.api}/api/v1/events/stream`, {
    headers: { Authorization: `Bearer ${node.token}` },
    signal,
  });
  const decoder = new TextDecoder();
  let rest = '';
  heard.set('ready', Date.now());
  try {
    for await (const bytes of answer.body!) {
      const at = Date.now();
      const lines = (rest + decoder.decode(bytes as Uint8Array, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines.filter(Boolean)) {
        const event = JSON.parse(line) as { event: string; text?: string };
        if (event.event === 'message' && event.text) heard.set(event.text, at);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Moves the room by `step` a frame until `done` says so of the first number on the screen; the length of each frame. */
async function scroll(page: Page, step: number, done: (n: number) => boolean): Promise<number[]> {
  const all: number[] = [];
  const began = Date.now();
  for (;;) {
    const { times, number } = await page.evaluate(async (by) => {
      const scroller = document.querySelector('.scroller')!;
      const times: number[] = [];
      let last = performance.now();
      for (let i = 0; i < 120; i++) {
        // As a wheel does, which also says that the reader moves by himself.
        scroller.dispatchEvent(new WheelEvent('wheel', { deltaY: by }));
        scroller.scrollTop += by;
        await new Promise<void>((resolve) => requestAnimationFrame(() => resolve()));
        const now = performance.now();
        times.push(now - last);
        last = now;
      }
      const articles = [...document.querySelectorAll('article')];
      const found = by < 0 ? articles[0] : articles.at(-1);
      return { times, number: Number(/number (\d+)/.exec(found?.textContent ?? '')?.[1]) };
    }, step);
    all.push(...times);
    if (all.length % 12_000 === 0) say(`at number ${number} after ${seconds(began)} s`);
    if (done(number)) return all;
  }
}

async function memory(debug: CDPSession): Promise<{ mb: number; nodes: number }> {
  await debug.send('HeapProfiler.collectGarbage');
  const { metrics } = await debug.send('Performance.getMetrics');
  const of = (name: string): number => metrics.find((m) => m.name === name)?.value ?? Number.NaN;
  return { mb: of('JSHeapUsedSize') / 1e6, nodes: of('Nodes') };
}

function frames(what: string, times: number[]): void {
  times.sort((a, b) => a - b);
  const at = (share: number): string => times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1);
  const long = times.filter((t) => t > FRAME_MS_MAX).length;
  print({
    what: `${what}: frames, median / 99 % / worst`,
    ours: `${at(0.5)} / ${at(0.99)} / ${at(1)} ms`,
    ratio: `${((100 * long) / times.length).toFixed(2)} % over ${FRAME_MS_MAX} ms`,
    goal: `none over ${FRAME_MS_MAX} ms`,
    reached: long === 0,
  });
}

function row(what: string, ms: number, goal: number): void {
  print({ what, ours: `${ms.toFixed(0)} ms`, goal: `<= ${goal} ms`, reached: ms <= goal });
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
  say(`load ${load()}`);
}

function median(list: number[]): number {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;
}

function say(words: string): void {
  process.stderr.write(`${words}\n`);
}

const load = (): string => loadavg()[0]!.toFixed(1);
const seconds = (from: number): string => ((Date.now() - from) / 1000).toFixed(0);
const count = (n: number): string => n.toLocaleString('en');
