// Two people chat, each in a browser with a node of his own.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { axe, context, open, PHONE, wrongs } from './browser';
import { eventually, type Node } from './node';
import { picture } from './made';
import { over, two, type Two } from './two';

let all: Two;
let browser: Browser;
let alice: Node;
let bob: Node;
let room: string;
let a: Page;
let b: Page;

beforeAll(async () => {
  all = await two('Two');
  ({ browser, alice, bob, room, a, b } = all);
});
afterAll(() => over(all));

const write = async (page: Page, text: string): Promise<void> => {
  await page.locator('main .composer textarea').first().fill(text);
  await page.keyboard.press('Enter');
};
const said = (page: Page, text: string): Locator => page.locator('article', { hasText: text }).last();
const menu = async (page: Page, text: string, item: string): Promise<void> => {
  await said(page, text).locator('.bubble').click({ button: 'right' });
  await page.getByRole('menuitem', { name: item, exact: true }).click();
};

describe('a chat in the browser', () => {
  test('what one writes the other reads at once, and his reading is seen', async () => {
    await write(a, 'Hello Bob');
    await said(a, 'Hello Bob').waitFor();
    await said(b, 'Hello Bob').waitFor();
    await b.bringToFront();
    await write(b, 'Hello Alice\nhow are you?');
    await said(a, 'how are you?').waitFor();
    await a.locator('article', { hasText: 'Hello Bob' }).locator('.mark.read').waitFor();
    expect(await a.locator('article', { hasText: 'Hello Bob' }).count()).toBe(1);
  });

  test('an answer shows what it answers, and a press on it leads there', async () => {
    await menu(b, 'Hello Bob', 'Reply');
    await write(b, 'nice to see you');
    const quote = said(a, 'nice to see you').locator('.quote');
    await quote.waitFor();
    expect(await quote.textContent()).toContain('Hello Bob');
    await quote.click();
    await a.locator('.line.highlighted', { hasText: 'Hello Bob' }).waitFor();
  });

  test('reactions are seen by both and taken back by a press', async () => {
    await said(a, 'nice to see you').hover();
    await said(a, 'nice to see you').getByRole('button', { name: 'React' }).click();
    await a.locator('.picker .recent button').first().click();
    const seen = said(b, 'nice to see you').locator('.reactions button');
    await seen.waitFor();
    await said(a, 'nice to see you').locator('.reactions button').click();
    await seen.waitFor({ state: 'detached' });
  });

  test('an edit changes the text for both, and its author can look at the earlier one', async () => {
    await write(a, 'firts');
    await said(b, 'firts').waitFor();
    await a.locator('.composer textarea').press('ArrowUp');
    await a.locator('.composer .context').waitFor();
    await write(a, 'first, mended');
    await said(b, 'first, mended').getByText('edited').waitFor();
    await menu(a, 'first, mended', 'Details');
    await a.locator('dialog').getByText('firts').waitFor();
    expect(await axe(a)).toEqual([]);
    await a.keyboard.press('Escape');
  });

  test('a deleted message leaves only that it was there', async () => {
    await write(b, 'to be forgotten');
    await said(a, 'to be forgotten').waitFor();
    await menu(b, 'to be forgotten', 'Delete');
    await b.locator('dialog .btn.danger').click();
    await a.locator('article', { hasText: 'Deleted message' }).last().waitFor();
    expect(await a.getByText('to be forgotten').count()).toBe(0);
  });

  test('a thread is written in beside the room', async () => {
    await menu(a, 'Hello Alice', 'Reply in thread');
    const pane = a.locator('aside');
    await pane.locator('textarea').fill('in the thread');
    await pane.locator('textarea').press('Enter');
    await pane.locator('article', { hasText: 'in the thread' }).waitFor();
    await b.locator('article', { hasText: 'Hello Alice' }).first().getByText('1 reply').waitFor();
    await a.keyboard.press('Escape');
    await pane.waitFor({ state: 'detached' });
  });

  test('a poll is asked and voted in', async () => {
    await a.locator('.composer').getByRole('button', { name: 'New poll' }).click();
    await a.getByLabel('Question').fill('Tea?');
    await a.getByLabel('Answer 1').fill('Yes');
    await a.getByLabel('Answer 2').fill('No');
    await a.locator('dialog button[type=submit]').click();
    const poll = said(b, 'Tea?');
    await poll.locator('.poll button').first().click();
    await said(a, 'Tea?').getByText('1 vote').waitFor();
  });

  test('a picture is attached, seen before it is sent, and seen by the other', async () => {
    const path = join(tmpdir(), 'parlor-e2e-sea.png');
    writeFileSync(path, picture(320, 200));
    await a.locator('.composer input[type=file]').setInputFiles(path);
    await a.locator('.composer li img').waitFor();
    await a.waitForFunction(() => !document.querySelector('.composer li progress'));
    await a.locator('.composer textarea').press('Enter');
    const shown = b.locator('article .picture img:not(.small)').last();
    await shown.waitFor();
    await eventually(() => shown.evaluate((img: HTMLImageElement) => img.naturalWidth === 320), 'the picture is drawn');
    await shown.click();
    await b.locator('dialog[open] img').waitFor();
    expect(await axe(b)).toEqual([]);
    await b.keyboard.press('Escape');
  });

  test('what was sent into a room is found on its page of files, pictures apart from the others', async () => {
    const body = Buffer.from('Tuesday: bread, tea');
    const list = await alice.call<{ file: string }>(
      'POST',
      '/files?name=list.txt&mime=text/plain',
      body,
      'application/octet-stream',
    );
    await alice.send(room, '', { files: [list.file] });
    await said(b, 'list.txt').waitFor();
    await b.getByRole('button', { name: 'About this room' }).click();
    await b.locator('aside').getByRole('link', { name: 'Files' }).click();
    const pane = b.locator('aside');
    await pane.locator('.grid img:not(.small)').first().waitFor();
    expect(await axe(b)).toEqual([]);
    await pane.locator('.grid button').first().click();
    await b.locator('dialog[open] img').waitFor();
    await b.keyboard.press('Escape');
    await pane.getByRole('radio', { name: 'Other files' }).check();
    await pane.getByRole('button', { name: 'Fetch list.txt' }).click();
    await pane.getByRole('button', { name: 'Save list.txt' }).first().waitFor();
    expect(await axe(b)).toEqual([]);
    await b.evaluate((r) => (location.hash = `#/room/${r}`), room);
  });

  test('emoji are in the tone that was chosen once', async () => {
    await a.locator('.composer').getByRole('button', { name: 'Emoji' }).click();
    await a.getByRole('button', { name: 'Skin tone' }).click();
    await a.getByRole('button', { name: 'Medium', exact: true }).click();
    await a.locator('.picker input').fill('thumbs up');
    await a.keyboard.press('Enter');
    await a.locator('.composer textarea').press('Enter');
    await said(b, '👍🏽').waitFor();
  });

  test('names and emoji are completed', async () => {
    await a.locator('.composer textarea').pressSequentially('@Bo');
    await a.getByRole('option', { name: /Bob/ }).waitFor();
    await a.keyboard.press('Enter');
    await a.locator('.composer textarea').pressSequentially(':tada');
    await a.getByRole('option').first().waitFor();
    await a.keyboard.press('Tab');
    expect(await a.locator('.composer textarea').inputValue()).toBe('@Bob 🎉 ');
    await a.locator('.composer textarea').press('Enter');
    await b.locator('article', { hasText: '🎉' }).last().waitFor();
  });

  test('that somebody types is seen', async () => {
    await a.locator('.composer textarea').pressSequentially('hm');
    await b.locator('.typing').first().waitFor();
    await a.locator('.composer textarea').fill('');
  });

  test('what is written while the node is away is kept on the screen and goes out once, when it is back', async () => {
    await alice.stop();
    await a.locator('.offline').waitFor();
    await write(a, 'written in the dark');
    await a.locator('article', { hasText: 'written in the dark' }).waitFor();
    await alice.run();
    // The session ended with the node: a new one, opened in another window, serves this one too.
    await a.getByRole('heading', { name: 'Come in again' }).waitFor();
    await a.getByText('1 message waits here').waitFor();
    expect(await axe(a)).toEqual([]);
    const fresh = await open(a.context(), alice, `#/room/${room}`);
    await a.locator('article', { hasText: 'written in the dark' }).locator('.mark').waitFor();
    await said(b, 'written in the dark').waitFor();
    for (const page of [a, b, fresh]) {
      await page.locator('article', { hasText: 'written in the dark' }).first().waitFor();
      expect(await page.locator('article', { hasText: 'written in the dark' }).count()).toBe(1);
    }
    await fresh.close();
  });

  test('a draft that was written while the node was away is there for other windows when it is back', async () => {
    const area = a.locator('.composer textarea');
    await alice.stop();
    await a.locator('.offline').waitFor();
    await area.fill('begun in the dark');
    await alice.run();
    await a.getByRole('heading', { name: 'Come in again' }).waitFor();
    const fresh = await open(a.context(), alice, `#/room/${room}`);
    await eventually(
      async () => (await fresh.locator('.composer textarea').inputValue()) === 'begun in the dark',
      'the draft is in the other window',
    );
    await area.waitFor();
    expect(await area.inputValue()).toBe('begun in the dark');
    await area.fill('');
    await eventually(async () => (await fresh.locator('.composer textarea').inputValue()) === '', 'the draft goes');
    await fresh.close();
  });

  test('a draft is in every window, and goes when it is sent', async () => {
    const second = await open(b.context(), bob, `#/room/${room}`);
    await second.locator('.composer textarea').waitFor();
    await b.bringToFront();
    await b.locator('.composer textarea').fill('half a thought');
    await eventually(
      async () => (await second.locator('.composer textarea').inputValue()) === 'half a thought',
      'the draft arrives',
    );
    await b.locator('.composer textarea').press('Enter');
    await eventually(async () => (await second.locator('.composer textarea').inputValue()) === '', 'the draft goes');
    await second.locator('article', { hasText: 'half a thought' }).waitFor();
    expect(wrongs.get(second)).toEqual([]);
    await second.close();
  });

  test('whoever writes is taken to what he wrote, wherever he read', async () => {
    await a.bringToFront();
    await a.locator('.scroller').first().hover();
    await a.mouse.wheel(0, -6_000);
    await a.locator('.down').waitFor();
    await write(a, 'from far above');
    await said(a, 'from far above').waitFor();
    await a.locator('.down').waitFor({ state: 'detached' });
  });

  test('a room is saved as a file: one whose signatures hold, and one to read, in which nothing runs', async () => {
    await a.evaluate((r) => (location.hash = `#/room/${r}/info`), room);
    const saved = async (kind: string): Promise<string> => {
      await a.getByRole('button', { name: 'Save this chat as a file' }).click();
      await a.locator('dialog').getByRole('radio', { name: kind }).check();
      expect(await axe(a)).toEqual([]);
      const download = a.waitForEvent('download');
      await a.locator('dialog').getByRole('button', { name: 'Save', exact: true }).click();
      const path = await (await download).path();
      await a.locator('dialog').waitFor({ state: 'detached' });
      return path;
    };
    const json = await saved('To keep and to prove');
    const found = alice.json<{ valid: boolean; messages: number }>('export', 'verify', json);
    expect(found.valid).toBe(true);
    expect(found.messages).toBeGreaterThan(8);

    const html = readFileSync(await saved('To read'), 'utf8');
    expect(html).toContain('Hello Bob');
    expect(html).toContain('data:image/jpeg;base64,');
    expect(html).not.toMatch(/<script|\son\w+=|to be forgotten/i);
    await a.evaluate((r) => (location.hash = `#/room/${r}`), room);
  });

  test('at the width of a phone there is one pane, and the way back', async () => {
    const phone = await context(browser, { viewport: PHONE });
    const page = await open(phone, bob);
    await page.locator('.row').first().click();
    await page.locator('article').first().waitFor();
    expect(await page.locator('nav.rooms').isVisible()).toBe(false);
    await page.getByRole('button', { name: 'Back' }).click();
    await page.locator('.row').first().waitFor();
    expect(wrongs.get(page)).toEqual([]);
    await phone.close();
  });

  test('nothing was blocked, nothing failed, nothing was asked of anybody but the node', () => {
    expect([...(wrongs.get(a) ?? []), ...(wrongs.get(b) ?? [])]).toEqual([]);
  });
});
