// The narrowest window, as at 400 % zoom: nothing is cut off, nothing scrolls sideways, everything can be hit. And what keys do.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { context, launch, open, wrongs } from './browser';
import { Node } from './node';
import { picture } from './made';

const NARROW = { width: 320, height: 640 };
let browser: Browser;
let alice: Node;
let room: string;

beforeAll(async () => {
  [browser, alice] = await Promise.all([launch(), Node.start('Alice')]);
  room = (await alice.call<{ room: string }>('POST', '/rooms', { name: 'Reading club' })).room;
  await alice.send(room, 'Good morning! Who has read the first chapter of the book with the long name?');
  const sent = await alice.call<{ file: string }>(
    'POST',
    '/files?name=harbour.png&mime=image/png',
    picture(640, 400),
    'application/octet-stream',
  );
  await alice.send(room, '', { files: [sent.file] });
});
afterAll(async () => {
  await browser?.close();
  await alice?.end();
});

/** What stands beyond the edge, scrolls sideways, or is smaller than a target may be. */
const faults = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = [];
    const shown = document.querySelector('dialog[open]') ?? document.body;
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
    for (const element of shown.querySelectorAll<HTMLElement>('*')) {
      const { width, height } = element.getBoundingClientRect();
      if (width === 0 || height === 0 || element.closest('.sr, .unseen, .skip')) continue;
      const name = `${element.tagName} ${element.getAttribute('aria-label') ?? element.textContent?.trim().slice(0, 30)}`;
      const style = getComputedStyle(element);
      if (['auto', 'scroll'].includes(style.overflowX) && element.scrollWidth > element.clientWidth + 1)
        found.push(`scrolls sideways: ${name}`);
      const alone = element.matches('button, a[href], select, textarea, summary, input:not(label input)');
      // A link in a sentence is as high as its line.
      if (alone && !element.closest('.formatted, .text') && (width < 24 || height < 24)) found.push(`small: ${name}`);
    }
    return [...new Set(found)];
  });

test('at 320 px nothing scrolls sideways and everything is large enough to hit', async () => {
  const page = await open(await context(browser, { viewport: NARROW, locale: 'de-DE' }), alice);
  const settings = ['profile', 'privacy', 'notices', 'appearance', 'devices', 'sessions', 'backup', 'connection'];
  const places: [string, string][] = [
    ['#/', '.row'],
    [`#/room/${room}`, '.placed article'],
    [`#/room/${room}/info`, 'aside .body'],
    ['#/people', '.pane h1'],
    ['#/search', '.search'],
    ...settings.map((name): [string, string] => [`#/settings/${name}`, '.group']),
  ];
  const all: string[] = [];
  for (const [path, ready] of places) {
    await page.evaluate((hash) => (location.hash = hash), path);
    await page.locator(ready).first().waitFor();
    await page.waitForFunction(() => !document.querySelector('.spin'));
    all.push(...(await faults(page)).map((fault) => `${path}: ${fault}`));
  }
  await page.evaluate(() => (location.hash = '#/'));
  await page.locator('.list header button').first().click();
  await page.locator('[role=menuitem]:has(.lucide-users)').click();
  await page.locator('dialog[open]').waitFor();
  all.push(...(await faults(page)).map((fault) => `new group: ${fault}`));
  expect(all).toEqual([]);
  // The words of the bar below are whole, or end with dots: none is cut off by its neighbour or the edge.
  const bar = await page.locator('.rail a').evaluateAll((list) => list.map((a) => a.getBoundingClientRect().right));
  expect(Math.max(...bar)).toBeLessThanOrEqual(NARROW.width);
  expect(wrongs.get(page)).toEqual([]);
});

test('what is typed after a room was chosen is written in it, and a dialog begins at what it is for', async () => {
  const page = await open(await context(browser), alice);
  await page.locator('.row').first().click();
  await page.locator('.composer textarea').waitFor();
  await page.keyboard.type('straight on');
  expect(await page.locator('.composer textarea').inputValue()).toBe('straight on');
  await page.locator('.composer textarea').fill('');
  await page.locator('main header button:has(.lucide-user-plus)').click();
  await page.locator('dialog[open]').waitFor();
  // Nothing is to be typed: Enter makes the invite with what stands there.
  await page.keyboard.press('Enter');
  await page.locator('dialog img').waitFor();
  expect(wrongs.get(page)).toEqual([]);
});
