// Rooms in the browser: made, invited to by the picture of a code, governed; people; hostile content; two windows; languages.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { axe, context, launch, open, wrongs } from './browser';
import { eventually, Node } from './node';

let browser: Browser;
let alice: Node;
let bob: Node;
let carol: Node;
let a: Page;
let b: Page;

beforeAll(async () => {
  [browser, alice, bob, carol] = await Promise.all([
    launch(),
    Node.start('Alice'),
    Node.start('Bob'),
    Node.start('Carol'),
  ]);
  a = await open(await context(browser), alice);
  b = await open(await context(browser), bob);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([alice?.end(), bob?.end(), carol?.end()]);
});

const roomOf = (page: Page): Promise<string> => page.evaluate(() => location.hash.split('/')[2]!);

describe('rooms in the browser', () => {
  let room: string;

  test('an empty start says what to do, and a room is made in one dialog that ends with an invite', async () => {
    await a.getByText('No rooms yet').waitFor();
    expect(await axe(a)).toEqual([]);
    await a.getByRole('button', { name: 'Create a room' }).click();
    await a.getByLabel('Name', { exact: true }).fill('Choir');
    await a.locator('dialog button[type=submit]').click();
    await a.locator('dialog').getByText('Invite to Choir').waitFor();
    room = await roomOf(a);
  });

  test('the picture of the invite, dropped into the other browser, lets him in', async () => {
    await a.locator('dialog select').nth(2).selectOption({ label: '3 people' });
    await a.locator('dialog button[type=submit]').click();
    await a.locator('dialog figure img').waitFor();
    const saved = a.waitForEvent('download');
    await a.getByRole('button', { name: 'Save picture' }).click();
    const path = await (await saved).path();
    await a.getByRole('button', { name: 'Done' }).click();

    await b.getByRole('button', { name: 'Join a room' }).click();
    await b
      .locator('dialog input[type=file]')
      .setInputFiles({ name: 'code.png', mimeType: 'image/png', buffer: (await import('node:fs')).readFileSync(path) });
    await b.locator('h1', { hasText: 'Choir' }).waitFor();
    await b.locator('.composer textarea').waitFor();
    await b.locator('.composer textarea').fill('here I am');
    await b.keyboard.press('Enter');
    await a.locator('article', { hasText: 'here I am' }).waitFor();
    await a.locator('.note', { hasText: 'Bob joined' }).waitFor();
  });

  test('a link that is none says so, with what to do', async () => {
    await b.keyboard.press('Control+k');
    await b.locator('dialog input').fill('Join a room');
    await b.keyboard.press('Enter');
    await b.locator('dialog textarea').fill('https://example.org/nothing');
    await b.locator('dialog button[type=submit]').click();
    await b.locator('dialog [role=alert]').waitFor();
    expect(await axe(b)).toEqual([]);
    await b.keyboard.press('Escape');
  });

  test('a role is given in the list of members, and both see it', async () => {
    await a.getByRole('button', { name: 'About this room' }).click();
    await a.getByRole('button', { name: 'What to do with Bob' }).click();
    await a.getByRole('menuitemcheckbox', { name: 'Moderator' }).click();
    await a.locator('aside li', { hasText: 'Bob' }).locator('.role').waitFor();
    await b.locator('.note', { hasText: 'Moderator' }).waitFor();
    expect(await axe(a)).toEqual([]);
  });

  test('whoever knocks on an invite with approval is let in by a press', async () => {
    const invite = await alice.call<{ link: string }>('POST', `/rooms/${room}/invites`, { approve: true });
    await carol.call('POST', '/join', { link: invite.link, timeout: 5 });
    await a.locator('aside').getByRole('button', { name: 'Let in' }).click();
    await a.locator('aside li', { hasText: 'Carol' }).locator('.you, .name').first().waitFor();
    await eventually(
      async () => (await carol.call<{ role: string }>('GET', `/rooms/${room}`)).role === 'member',
      'Carol is in',
    );
  });

  test('a moderator removes a member, and the page of the removed says so', async () => {
    const c = await open(await context(browser), carol, `#/room/${room}`);
    await c.locator('.composer').waitFor();
    await b.getByRole('button', { name: 'About this room' }).click();
    await b.getByRole('button', { name: 'What to do with Carol' }).click();
    await b.getByRole('menuitem', { name: 'Remove' }).click();
    await b.locator('dialog .btn.danger').click();
    await c.locator('.closed').waitFor();
    expect(await c.locator('.composer').count()).toBe(0);
    expect(wrongs.get(c)).toEqual([]);
    await c.close();
  });

  test('what members write is never run: it is shown as it was written', async () => {
    const hostile = [
      '<img src=x onerror="document.title=\'owned\'">',
      '<script>document.title="owned"</script>',
      '[click](javascript:document.title="owned")',
      '\u202Egnp.exe \u0000 ' + 'z\u0351\u0352'.repeat(200),
      '<svg onload=document.title="owned">',
    ];
    for (const text of hostile) await alice.send(room, text.replace('\u0000', ''));
    await alice.call('PATCH', `/rooms/${room}`, { name: '<b>Choir</b>' });
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="owned"</script></svg>');
    const file = await alice.call<{ file: string }>(
      'POST',
      '/files?name=%3Cimg%20src%3Dx%3E.svg&mime=image/svg%2Bxml',
      svg,
      'application/octet-stream',
    );
    await alice.send(room, '', { files: [file.file] });
    const html = await alice.call<{ file: string }>(
      'POST',
      '/files?name=page.html&mime=text/html',
      Buffer.from('<script>1</script>'),
      'application/octet-stream',
    );
    await alice.send(room, '', { files: [html.file] });
    await b.locator('article', { hasText: 'page.html' }).waitFor();
    await b.locator('article', { hasText: '<svg onload' }).first().waitFor();
    expect(
      await b
        .locator('article script, article svg[onload], article img[onerror], article a[href^="javascript"]')
        .count(),
    ).toBe(0);
    expect(await b.locator('article .picture img').count()).toBe(0);
    expect(await b.title()).toMatch(/Parlor$/);
    await b.locator('h1', { hasText: '<b>Choir</b>' }).waitFor();
  });

  test('a page that is moved by letters of members does not: bidirectional text stays in its bubble', async () => {
    const widths = await b.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(widths[0]).toBeLessThanOrEqual(widths[1]!);
  });

  test('the language is changed in the settings, for all words, and kept', async () => {
    await b.evaluate(() => (location.hash = '#/settings/appearance'));
    await b.getByRole('radio', { name: 'Deutsch' }).check();
    await b.getByRole('heading', { name: 'Aussehen und Sprache' }).waitFor();
    expect(await b.evaluate(() => document.documentElement.lang)).toBe('de');
    await b.reload();
    await b.getByRole('heading', { name: 'Aussehen und Sprache' }).waitFor();
    await b.getByRole('radio', { name: 'English' }).check();
    await b.getByRole('heading', { name: 'Appearance and language' }).waitFor();
  });

  test('two people compare their safety number and are marked as verified', async () => {
    const account = (await bob.call<{ account: string }>('GET', '/status')).account;
    await a.evaluate((who) => (location.hash = `#/people/${who}`), account);
    await a.getByRole('button', { name: 'Safety number' }).click();
    await a.locator('dialog .digits li').first().waitFor();
    expect(await a.locator('dialog .digits li').count()).toBe(12);
    await a.getByRole('button', { name: 'It is the same' }).click();
    await a.locator('dialog .ok').waitFor();
    await a.keyboard.press('Escape');
    expect(await axe(a)).toEqual([]);
  });

  test('what was said is found while one types, shown with what fits, and a press leads there', async () => {
    await alice.send(room, 'the contralto begins in bar seven');
    await a.evaluate(() => (location.hash = '#/search'));
    await a.locator('[role=searchbox]').fill('contral');
    const hit = a.locator('.hits a', { hasText: 'bar seven' });
    await hit.waitFor();
    expect(await hit.locator('mark').textContent()).toBe('contralto');
    expect(await axe(a)).toEqual([]);
    await hit.click();
    await a.locator('.line.highlighted', { hasText: 'contralto' }).waitFor();
    await a.evaluate(() => (location.hash = '#/search'));
    await a.locator('[role=searchbox]').fill('qqqq');
    await a.getByText('Nothing found').waitFor();
  });

  test('rooms, people and commands are reached by their names alone', async () => {
    await a.keyboard.press('Control+k');
    await a.locator('dialog [role=option]').first().waitFor();
    await a.keyboard.type('choir');
    await a.keyboard.press('Enter');
    await a.locator('.composer textarea').waitFor();
    await a.keyboard.press('Control+f');
    await a.locator('[role=searchbox]').waitFor();
    await a.keyboard.press('Control+,');
    await a.getByRole('heading', { name: 'Settings' }).waitFor();
  });

  test('nothing was blocked, nothing failed, nothing was asked of anybody but the node', () => {
    expect([...(wrongs.get(a) ?? []), ...(wrongs.get(b) ?? [])]).toEqual([]);
  });
});
