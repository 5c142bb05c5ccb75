// Makes a picture of every screen in both widths and themes: `npm run shots`, then look at web/shots.
import { mkdirSync, rmSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { axe, context, DESKTOP, launch, open, PHONE, wrongs } from './browser';
import { Node } from './node';
import { peopled, type Scene } from './scene';

const SHOTS = new URL('../shots', import.meta.url).pathname;
let browser: Browser;
let scene: Scene;

beforeAll(async () => {
  rmSync(SHOTS, { recursive: true, force: true });
  mkdirSync(SHOTS, { recursive: true });
  [browser, scene] = await Promise.all([launch(), peopled()]);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all((scene?.nodes ?? []).map((node: Node) => node.end()));
});

interface Screen {
  name: string;
  path: string;
  ready: string;
  act?: (page: Page) => Promise<unknown>;
}

function screens(): Screen[] {
  const room = `#/room/${scene.club}`;
  return [
    { name: 'chats', path: '#/', ready: '.row' },
    { name: 'room', path: room, ready: 'article' },
    { name: 'room-page', path: `${room}/info`, ready: 'aside .body' },
    { name: 'thread', path: `${room}/thread/${scene.root}`, ready: 'aside article' },
    { name: 'direct', path: `#/room/${scene.direct}`, ready: 'article' },
    { name: 'people', path: '#/people', ready: '.pane' },
    { name: 'person', path: `#/people/${scene.bob}`, ready: '.person' },
    { name: 'search', path: '#/search', ready: '.search' },
    { name: 'privacy', path: '#/settings/privacy', ready: '.group' },
    { name: 'notices', path: '#/settings/notices', ready: '.group' },
    { name: 'appearance', path: '#/settings/appearance', ready: '.group' },
    { name: 'devices', path: '#/settings/devices', ready: '.group li' },
    { name: 'sessions', path: '#/settings/sessions', ready: '.group li' },
    { name: 'connection', path: '#/settings/connection', ready: '.group li' },
    {
      name: 'invite',
      path: `${room}/info`,
      ready: 'aside .body',
      act: async (page) => {
        await page.locator('aside .acts button').first().click();
        await page.locator('dialog button[type=submit]').click();
        await page.locator('dialog img').waitFor();
      },
    },
    {
      name: 'export',
      path: `${room}/info`,
      ready: 'aside .body',
      act: async (page) => {
        await page.locator('aside .last .btn').first().click();
        await page.locator('dialog [role=status]').waitFor({ state: 'attached' });
      },
    },
    {
      name: 'palette',
      path: room,
      ready: 'article',
      act: async (page) => {
        await page.keyboard.press('Control+k');
        await page.locator('dialog [role=option]').first().waitFor();
      },
    },
    {
      name: 'keys',
      path: '#/',
      ready: '.rail',
      act: async (page) => {
        await page.keyboard.press('?');
        await page.locator('dialog kbd').first().waitFor();
      },
    },
    {
      name: 'menu',
      path: room,
      ready: 'article',
      act: async (page) => {
        await page.locator('article .bubble').last().click({ button: 'right' });
        await page.locator('[role=menu]').waitFor();
      },
    },
    {
      name: 'emoji',
      path: room,
      ready: 'article',
      act: async (page) => {
        await page.locator('.composer .field button').click();
        await page.locator('.picker .grid button').first().waitFor();
      },
    },
    { name: 'create', path: '#/', ready: '.rail', act: (page) => create(page) },
    { name: 'safety', path: `#/people/${scene.bob}`, ready: '.person', act: (page) => safety(page) },
  ];
}

async function create(page: Page): Promise<void> {
  await page.keyboard.press('Control+k');
  await page
    .locator('dialog input')
    .fill(await page.evaluate(() => (document.documentElement.lang === 'de' ? 'Neue Gruppe' : 'New group')));
  await page.keyboard.press('Enter');
  await page.locator('dialog fieldset').first().waitFor();
}

async function safety(page: Page): Promise<void> {
  await page.locator('.person .acts button').nth(1).click();
  await page.locator('dialog img').waitFor();
}

const LOOKS = [
  { name: 'desktop-light', viewport: DESKTOP, theme: 'light', locale: 'en-GB' },
  { name: 'desktop-dark', viewport: DESKTOP, theme: 'dark', locale: 'de-DE' },
  { name: 'phone-light', viewport: PHONE, theme: 'light', locale: 'de-DE' },
  { name: 'phone-dark', viewport: PHONE, theme: 'dark', locale: 'en-GB' },
] as const;

test.each(LOOKS)('screenshots of every screen show no violation of accessibility or policy: $name', async (look) => {
  const within = await context(browser, look);
  const findings: string[] = [];
  for (const screen of screens()) {
    if (process.env.SHOT && !screen.name.match(process.env.SHOT)) continue;
    const page = await open(within, scene.alice, screen.path);
    await page.locator(screen.ready).first().waitFor();
    await screen.act?.(page);
    await page.evaluate(() => document.fonts.ready);
    await page.waitForFunction(
      () => !document.querySelector('.spin') && !document.querySelector('.wrap:not(.placed) .scroller'),
    );
    await page.screenshot({ path: `${SHOTS}/${screen.name}-${look.name}.png` });
    findings.push(
      ...(await axe(page)).map((line) => `${screen.name}: ${line}`),
      ...(wrongs.get(page) ?? []).map((line) => `${screen.name}: ${line}`),
    );
    await page.close();
  }
  await within.close();
  expect([...new Set(findings)]).toEqual([]);
});
