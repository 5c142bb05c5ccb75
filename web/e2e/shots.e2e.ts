// Makes a picture of every screen in both widths and themes: `npm run shots`, then look at web/shots.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { axe, context, DESKTOP, launch, open, PHONE, visit, wrongs } from './browser';
import { portrait } from './made';
import { Node } from './node';
import { ownMenu, press, rare, type Screen } from './rare';
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

function screens(): Screen[] {
  const room = `#/room/${scene.club}`;
  const info = `${room}/info`;
  return [
    { name: 'chats', path: '#/', ready: '.row' },
    { name: 'room', path: room, ready: '.placed article' },
    { name: 'room-page', path: info, ready: 'aside .body' },
    {
      name: 'room-page-end',
      path: info,
      ready: 'aside .body',
      act: (page) => page.locator('aside .body').evaluate((body) => body.scrollTo(0, body.scrollHeight)),
    },
    { name: 'files', path: `${info}/files`, ready: 'aside .grid img:not(.small)' },
    { name: 'thread', path: `${room}/thread/${scene.root}`, ready: 'aside article' },
    { name: 'direct', path: `#/room/${scene.direct}`, ready: 'article' },
    { name: 'direct-page', path: `#/room/${scene.direct}/info`, ready: 'aside .body' },
    { name: 'people', path: '#/people', ready: '.pane li' },
    { name: 'person', path: `#/people/${scene.bob}`, ready: '.person .avatar img' },
    { name: 'search', path: '#/search', ready: '.search' },
    { name: 'search-found', path: '#/search?q=tuesday', ready: '.hits li' },
    { name: 'settings', path: '#/settings', ready: '.pane .me' },
    { name: 'profile', path: '#/settings/profile', ready: '.picture .avatar img' },
    { name: 'privacy', path: '#/settings/privacy', ready: '.group' },
    { name: 'notices', path: '#/settings/notices', ready: '.group' },
    { name: 'appearance', path: '#/settings/appearance', ready: '.group' },
    { name: 'devices', path: '#/settings/devices', ready: '.group li' },
    { name: 'sessions', path: '#/settings/sessions', ready: '.group li' },
    { name: 'token', path: '#/settings/sessions', ready: '.group li', act: press('.group:nth-of-type(2) > .btn') },
    { name: 'webhook', path: '#/settings/sessions', ready: '.group li', act: press('.group:nth-of-type(3) > .btn') },
    { name: 'backup', path: '#/settings/backup', ready: '.group' },
    { name: 'connection', path: '#/settings/connection', ready: '.group li' },
    { name: 'create', path: '#/', ready: '.rail', act: create },
    {
      name: 'join',
      path: '#/',
      ready: '.rail',
      act: async (page) => {
        await press('.list header button', '[role=menu]')(page);
        await press('[role=menuitem]:has(.lucide-link)')(page);
      },
    },
    {
      name: 'card',
      path: '#/people',
      ready: '.pane li',
      act: press('.pane button:has(.lucide-qr-code)', 'dialog img'),
    },
    { name: 'contact-add', path: '#/people', ready: '.pane li', act: press('.pane button:has(.lucide-user-plus)') },
    {
      name: 'safety',
      path: `#/people/${scene.bob}`,
      ready: '.person',
      act: press('.person .acts button:has(.lucide-shield-check)', 'dialog img'),
    },
    {
      name: 'invite',
      path: info,
      ready: 'aside .body',
      act: async (page) => {
        await press('aside .acts button')(page);
        await press('dialog button[type=submit]', 'dialog img')(page);
      },
    },
    {
      name: 'new-invite',
      path: info,
      ready: 'aside .body',
      act: async (page) => {
        await press('aside .acts button')(page);
        await page.locator('dialog select').last().selectOption('since');
      },
    },
    {
      name: 'portrait',
      path: '#/settings/profile',
      ready: '.picture .avatar img',
      act: async (page) => {
        const buffer = portrait([190, 214, 220], [86, 54, 40], [28, 96, 96]);
        await page.locator('input[type=file]').setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer });
        await page.locator('dialog canvas').waitFor();
        await page.locator('dialog input[type=range]').fill('1.6');
      },
    },
    { name: 'export', path: info, ready: 'aside .body', act: press('aside .last .btn') },
    { name: 'poll-new', path: room, ready: '.placed article', act: poll },
    {
      name: 'voice',
      path: room,
      ready: 'article',
      act: press('.composer button:has(.lucide-mic)', '.voice, .recorder, [role=timer]'),
    },
    {
      name: 'pins',
      path: room,
      ready: 'article',
      act: async (page) => {
        const pins = page.locator('main header button:has(.lucide-pin)');
        if (await pins.isVisible()) await press('main header button:has(.lucide-pin)')(page);
      },
    },
    {
      name: 'picture',
      path: room,
      ready: '.placed article .picture img:not(.small)',
      act: press('article .picture', 'dialog img'),
    },
    {
      name: 'details',
      path: room,
      ready: 'article',
      act: ownMenu('info'),
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
      ready: '.placed article',
      act: press('.composer .field button', '.picker .grid button'),
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
  ];
}

/** On a phone it is offered with what else can be added. */
async function poll(page: Page): Promise<void> {
  if (await page.locator('.composer .lucide-vote').isVisible()) await press('.composer button:has(.lucide-vote)')(page);
  else {
    await press('.composer button:has(.lucide-paperclip)', '[role=menu]')(page);
    await press('[role=menuitem]:has(.lucide-vote)')(page);
  }
}

async function create(page: Page): Promise<void> {
  await press('.list header button', '[role=menu]')(page);
  await press('[role=menuitem]:has(.lucide-users)')(page);
  await page.locator('dialog .pick').first().waitFor();
}

const LOOKS = [
  { name: 'desktop-light', viewport: DESKTOP, theme: 'light', locale: 'en-GB' },
  { name: 'desktop-dark', viewport: DESKTOP, theme: 'dark', locale: 'de-DE' },
  { name: 'phone-light', viewport: PHONE, theme: 'light', locale: 'de-DE' },
  { name: 'phone-dark', viewport: PHONE, theme: 'dark', locale: 'en-GB' },
] as const;

const wanted = (name: string): boolean => !process.env.SHOT || new RegExp(process.env.SHOT).test(name);

/** A picture of what is on the screen, and what axe and the browser have against it. */
async function shoot(page: Page, name: string, look: string, findings: Set<string>): Promise<void> {
  await page.evaluate(() => document.fonts.ready);
  await page.waitForFunction(
    () =>
      !document.querySelector(
        '.spin:not(dialog .spin), .avatar.waiting, .wrap:not(.placed, :has(.damaged)) .scroller',
      ) && document.getAnimations().every((a) => a.playState !== 'running'),
  );
  await page.screenshot({ path: `${SHOTS}/${name}-${look}.png` });
  for (const line of [...(await axe(page)), ...(wrongs.get(page) ?? []).splice(0)]) findings.add(`${name}: ${line}`);
}

test.each(LOOKS)('screenshots of every screen show no violation of accessibility or policy: $name', async (look) => {
  const within = await context(browser, look);
  const findings = new Set<string>();
  const page = await open(within, scene.alice);
  for (const screen of [...screens(), ...rare(scene)].filter((s) => wanted(s.name))) {
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await screen.mock?.(page);
    await page.evaluate((hash) => (location.hash = hash), screen.path);
    // Each as it is when it is come to: no dialog, no place of the screen before.
    await page.reload();
    await page.locator(screen.ready).first().waitFor();
    await screen.act?.(page);
    await shoot(page, screen.name, look.name, findings);
  }
  await within.close();
  expect([...findings]).toEqual([]);
});

test('so do those of the first run, of the lock and of a window without session', async () => {
  const fresh = new Node('New');
  try {
    const findings = new Set<string>();
    const within = await context(browser);
    const page = await visit(within, await fresh.wait());
    const all = async (name: string): Promise<void> => {
      for (const look of LOOKS.filter(() => wanted(name))) {
        await page.setViewportSize(look.viewport);
        await page.emulateMedia({ colorScheme: look.theme });
        await shoot(page, name, look.name, findings);
      }
    };
    await page.getByLabel('Your name').fill('Nora');
    await page.getByRole('switch').check();
    await page.getByLabel('Passphrase', { exact: true }).fill('four quiet green rooms');
    await page.getByLabel('Once more').fill('four quiet green');
    await all('first-name');
    await page.getByRole('button', { name: 'I have 24 words' }).click();
    await page.locator('textarea').waitFor();
    await all('first-recover');
    await page.getByRole('button', { name: 'new account' }).click();
    await page.getByLabel('Once more').fill('four quiet green rooms');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.locator('.words li').first().waitFor();
    await all('first-words');
    const words = await page
      .locator('.words li')
      .evaluateAll((list) => list.map((li) => li.lastChild?.textContent?.trim() ?? ''));
    await page.getByRole('button', { name: 'I wrote them down' }).click();
    const fields = page.locator('form .field');
    await all('first-check');
    for (let i = 0; i < (await fields.count()); i++) {
      const place = Number(/\d+/.exec((await fields.nth(i).textContent()) ?? '')?.[0]);
      await fields
        .nth(i)
        .locator('input')
        .fill(words[place - 1]!);
    }
    await page.getByRole('button', { name: 'Open Parlor' }).click();
    await page.getByText('No rooms yet').waitFor();
    await all('first-empty');
    await page.evaluate(() => (location.hash = '#/settings/privacy'));
    await page.getByRole('button', { name: 'Lock now' }).click();
    await page.getByRole('heading', { name: 'Locked' }).waitFor();
    await all('locked');
    await page.evaluate(() => sessionStorage.clear());
    await page.goto(`${fresh.api}/`);
    await page.getByRole('heading', { name: 'Come in again' }).waitFor();
    await all('outside');
    await within.close();
    expect([...findings]).toEqual([]);
  } finally {
    await fresh.end();
  }
});

test.each(LOOKS.filter((look) => look.locale === 'de-DE' || look.theme === 'light'))(
  'and those of a backup that is restored: $name',
  async (look) => {
    if (!wanted('restore')) return;
    const fresh = new Node('New');
    try {
      const findings = new Set<string>();
      const { alice } = scene;
      const [backup, secret] = [join(alice.home, `${look.name}.backup`), join(alice.home, 'secret')];
      writeFileSync(secret, 'four quiet green rooms\n');
      alice.cli('backup', 'create', backup, '--passphrase-file', secret);
      const within = await context(browser, look);
      const page = await visit(within, await fresh.wait());
      await page.locator('form .btn.quiet').last().click();
      await page.locator('.btn.primary').waitFor();
      await shoot(page, 'restore-begin', look.name, findings);
      await page.locator('input[type=file]').setInputFiles(backup);
      await page.locator('input[type=password]').fill('four loud red rooms');
      await page.locator('button[type=submit]').click();
      await page.locator('[role=alert]').waitFor();
      await shoot(page, 'restore-wrong', look.name, findings);
      await page.locator('input[type=password]').fill('four quiet green rooms');
      await page.locator('button[type=submit]').click();
      await page.locator('.bar').waitFor();
      await page.screenshot({ path: `${SHOTS}/restore-reading-${look.name}.png` });
      await page.locator('dl.facts').waitFor();
      await shoot(page, 'restore-done', look.name, findings);
      await within.close();
      expect([...findings]).toEqual([]);
    } finally {
      await fresh.end();
    }
  },
);
