// The first run, as a new user meets it: from nothing to the first message, and the lock.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { axe, context, launch, visit, wrongs } from './browser';
import { Node } from './node';

let browser: Browser;
let fresh: Node;
let host: Node;
let page: Page;

const PASSPHRASE = 'four quiet green rooms';

beforeAll(async () => {
  [browser, host] = await Promise.all([launch(), Node.start('Host')]);
  fresh = new Node('New');
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([fresh?.end(), host?.end()]);
});

describe('the first run in the browser', () => {
  test('asks for a name, shows 24 words, checks three of them, and makes the account', async () => {
    const url = await fresh.wait();
    page = await visit(await context(browser), url);
    await page.getByRole('heading', { name: 'Welcome to Parlor' }).waitFor();
    expect(await axe(page)).toEqual([]);
    // Whoever comes by keyboard writes at once.
    expect(await page.getByLabel('Your name').evaluate((input) => input === document.activeElement)).toBe(true);
    await page.getByLabel('Your name').fill('Nora');
    await page.getByRole('switch').check();
    await page.getByLabel('Passphrase', { exact: true }).fill(PASSPHRASE);
    await page.getByLabel('Once more').fill(PASSPHRASE);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.locator('.words li').first().waitFor();
    const words = await page
      .locator('.words li')
      .evaluateAll((list) => list.map((li) => li.lastChild?.textContent?.trim() ?? ''));
    expect(words).toHaveLength(24);
    expect(await axe(page)).toEqual([]);
    await page.getByRole('button', { name: 'I wrote them down' }).click();
    await page.locator('form input').first().waitFor();
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('INPUT');

    const places = await page
      .locator('form .field > span:first-child')
      .evaluateAll((list) => list.map((s) => Number(/\d+/.exec(s.textContent ?? '')?.[0])));
    const inputs = page.locator('form input');
    for (let i = 0; i < places.length; i++) await inputs.nth(i).fill(i === 0 ? 'wrong' : words[places[i]! - 1]!);
    await page.getByRole('button', { name: 'Open Parlor' }).click();
    await page.locator('[role=alert]').waitFor();
    expect(await axe(page)).toEqual([]);
    await inputs.first().fill(words[places[0]! - 1]!);
    await page.getByRole('button', { name: 'Open Parlor' }).click();
    await page.getByText('No rooms yet').waitFor();
  });

  test('joins with a link and writes the first message', async () => {
    const room = await host.call<{ room: string }>('POST', '/rooms', { name: 'Hall' });
    const invite = await host.call<{ link: string }>('POST', `/rooms/${room.room}/invites`, {});
    await page.getByRole('button', { name: 'Join a room' }).click();
    await page.locator('dialog textarea').fill(invite.link);
    await page.locator('dialog button[type=submit]').click();
    await page.locator('.composer textarea').waitFor();
    await page.locator('.composer textarea').fill('My first message');
    await page.keyboard.press('Enter');
    await page.locator('article', { hasText: 'My first message' }).locator('.mark.delivered, .mark.read').waitFor();
  });

  test('is locked by a press, refuses a wrong passphrase, and opens to the right one where it was', async () => {
    const beside = await visit(page.context(), `${fresh.api}/`);
    await beside.getByRole('link', { name: /Hall/ }).click();
    await beside.locator('article', { hasText: 'My first message' }).waitFor();
    await page.evaluate(() => (location.hash = '#/settings/privacy'));
    await page.getByRole('button', { name: 'Lock now' }).click();
    await page.getByRole('heading', { name: 'Locked' }).waitFor();
    expect(await axe(page)).toEqual([]);
    // One lock for all windows.
    await beside.getByRole('heading', { name: 'Locked' }).waitFor();
    expect(await beside.getByText('My first message').count()).toBe(0);
    await page.getByLabel('Passphrase').fill('not it at all');
    await page.getByRole('button', { name: 'Unlock' }).click();
    await page.locator('[role=alert]').waitFor();
    await page.getByLabel('Passphrase').fill(PASSPHRASE);
    await page.getByRole('button', { name: 'Unlock' }).click();
    await page.getByRole('heading', { name: 'Privacy' }).waitFor();
    await beside.locator('article', { hasText: 'My first message' }).waitFor();
    expect(wrongs.get(beside)).toEqual([]);
    await beside.close();
  });

  test('a window without session says how to come in', async () => {
    const other = await visit(await context(browser), `${fresh.api}/`);
    await other.getByRole('heading', { name: 'Come in again' }).waitFor();
    expect(await axe(other)).toEqual([]);
    expect(wrongs.get(other)).toEqual([]);
  });

  test('nothing was blocked, nothing failed, nothing was asked of anybody but the node', () => {
    expect(wrongs.get(page)).toEqual([]);
  });
});
