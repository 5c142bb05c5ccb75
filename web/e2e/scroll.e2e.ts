// A long room: scrolling back and forth keeps the place, the page keeps few elements, and what it costs is told.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { context, launch, open, wrongs } from './browser';
import { eventually, fill, Node } from './node';

const MESSAGES = 3_000;
/** More elements than a screen and its margins hold. */
const ROWS_MAX = 150;
const LATE_MS = 500;

let browser: Browser;
let alice: Node;
let page: Page;
let room: string;

beforeAll(async () => {
  [browser, alice] = await Promise.all([launch(), Node.start('Alice')]);
  room = (await alice.call<{ room: string }>('POST', '/rooms', { name: 'Long' })).room;
  await fill(alice, room, MESSAGES, (n) => `number ${n} ${'word '.repeat(n % 40)}`.trim());
  page = await open(await context(browser), alice, `#/room/${room}`);
  await page.locator('.placed article').first().waitFor();
});
afterAll(async () => {
  await browser?.close();
  await alice?.end();
});

/** Where a message stands on the screen that is in its middle now. */
const middle = (): Promise<{ key: string; top: number }> =>
  page.evaluate(() => {
    const box = document.querySelector('.scroller')!.getBoundingClientRect();
    const articles = [...document.querySelectorAll<HTMLElement>('article')];
    const found = articles.find((a) => a.getBoundingClientRect().top > box.top + box.height / 3)!;
    return { key: found.dataset.key!, top: found.getBoundingClientRect().top };
  });
const topOf = (key: string): Promise<number | null> =>
  page.evaluate((k) => document.querySelector(`article[data-key="${k}"]`)?.getBoundingClientRect().top ?? null, key);

test('older pages are put above without moving what is read, and few rows are kept', async () => {
  expect(await page.locator('article', { hasText: `number ${MESSAGES - 1}` }).count()).toBe(1);
  // Pages come late, so that what they do to the view is seen apart from the scrolling itself.
  await page.route('**/messages?*', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, LATE_MS));
    await route.continue();
  });
  await page.locator('.scroller').hover();
  let seen = Infinity;
  for (let turn = 0; turn < 10; turn++) {
    await page.mouse.wheel(0, -1_100);
    await page.waitForTimeout(LATE_MS / 2);
    const before = await eventually(middle, 'rows are drawn');
    await page.waitForTimeout(LATE_MS);
    await page.waitForFunction(() => document.querySelector('.scroller')?.getAttribute('aria-busy') === 'false');
    const after = await topOf(before.key);
    expect(after).not.toBeNull();
    expect(Math.abs(after! - before.top)).toBeLessThan(3);
    expect(await page.locator('article').count()).toBeLessThan(ROWS_MAX);
    const text = await page.locator('article').first().textContent();
    seen = Math.min(seen, Number(/number (\d+)/.exec(text ?? '')?.[1]));
  }
  await page.unroute('**/messages?*');
  expect(seen).toBeLessThan(MESSAGES - 60);
});

test('one who reads back goes on beyond what the page holds, and comes back to the end the same way', async () => {
  const to = async (step: number, done: (n: number) => boolean): Promise<void> => {
    await eventually(async () => {
      const number = await page.evaluate(async (by) => {
        const scroller = document.querySelector('.scroller')!;
        for (let i = 0; i < 60; i++) {
          scroller.dispatchEvent(new WheelEvent('wheel', { deltaY: by }));
          scroller.scrollTop += by;
          await new Promise<void>((resolve) => requestAnimationFrame(() => resolve()));
        }
        const articles = [...document.querySelectorAll('article')];
        return Number(/number (\d+)/.exec((by < 0 ? articles[0] : articles.at(-1))?.textContent ?? '')?.[1]);
      }, step);
      return done(number);
    }, 'the place is reached');
  };
  await to(-500, (n) => n < MESSAGES - 1_600);
  await to(500, (n) => n > MESSAGES - 10);
});

test('frames while scrolling, and what the page takes, are told', async () => {
  const frames = await page.evaluate(async () => {
    const scroller = document.querySelector('.scroller')!;
    const times: number[] = [];
    let last = performance.now();
    for (let i = 0; i < 240; i++) {
      scroller.scrollTop += i % 120 < 60 ? -140 : 140;
      await new Promise<void>((resolve) => requestAnimationFrame(() => resolve()));
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times.sort((a, b) => a - b);
  });
  const at = (share: number): string => frames[Math.floor(frames.length * share)]!.toFixed(1);
  const start = await page.evaluate(() => {
    const files = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
    return {
      kb: files.filter((f) => /\.(js|css)$/.test(f.name)).reduce((sum, f) => sum + f.encodedBodySize, 0) / 1000,
    };
  });
  process.stdout.write(
    `frames: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, worst ${at(0.999)} ms; scripts and styles ${start.kb.toFixed(0)} kB as they were sent\n`,
  );
  expect(frames).toHaveLength(240);
});

test('a jump to a date far back lands there, and the arrow leads back to the end', async () => {
  const first = await alice
    .call<{ items: { message: string; text: string }[] }>('GET', `/rooms/${room}/messages?limit=1&after=0`)
    .catch(() => null);
  const oldest =
    first?.items[0]?.message ??
    (
      await alice.call<{ items: { message: string }[] }>(
        'GET',
        `/rooms/${room}/messages?date=2020-01-01T00:00:00Z&limit=1`,
      )
    ).items[0]!.message;
  await page.evaluate(([r, m]) => (location.hash = `#/room/${r}?message=${m}`), [room, oldest]);
  await page.locator('.line.highlighted').waitFor();
  await page.locator('.down').click();
  await page.locator('article', { hasText: `number ${MESSAGES - 1}` }).waitFor();
  await eventually(async () => (await page.locator('.down').count()) === 0, 'the end is reached');
  expect(wrongs.get(page)).toEqual([]);
});
