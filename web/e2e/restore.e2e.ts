// A backup restored on the first run: chosen, opened, and everything is there.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { axe, context, launch, visit, wrongs } from './browser';
import { eventually, Node, roomOf } from './node';

let browser: Browser;
let alice: Node;
let bob: Node;
let fresh: Node;
let killed: Node;
let page: Page;
let room: string;
let backup: string;

const PASSPHRASE = 'four quiet green rooms';

beforeAll(async () => {
  [browser, alice, bob] = await Promise.all([launch(), Node.start('Alice'), Node.start('Bob')]);
  [fresh, killed] = [new Node('New'), new Node('Killed')];
  room = await roomOf(alice, [bob], 'Orchestra');
  // A contact is called where his card said that he is.
  const card = await bob.call<{ link: string }>('GET', '/contacts/card');
  await alice.call('POST', '/contacts', { who: card.link, text: '' });
  const first = await alice.send(room, 'We begin with the slow part');
  await eventually(
    async () =>
      (await alice.call<{ status: string }>('GET', `/rooms/${room}/messages/${first}`)).status === 'delivered',
    'Bob has it',
  );
  backup = join(alice.home, 'saved.backup');
  const secret = join(alice.home, 'secret');
  writeFileSync(secret, `${PASSPHRASE}\n`);
  alice.cli('backup', 'create', backup, '--passphrase-file', secret);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([alice, bob, fresh, killed].map((node) => node?.end()));
});

describe('a backup on the first run', () => {
  test('a file that is none is refused in words, and so is a wrong passphrase', async () => {
    page = await visit(await context(browser), await fresh.wait());
    await page.getByRole('button', { name: 'I have a backup' }).click();
    await page.getByRole('heading', { name: 'Restore a backup' }).waitFor();
    expect(await axe(page)).toEqual([]);
    const file = page.locator('input[type=file]');
    await file.setInputFiles({ name: 'holiday.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(4_000, 7) });
    await page.getByText('holiday.jpg is no backup of Parlor').waitFor();
    await file.setInputFiles(backup);
    await page.getByLabel('Passphrase of the backup').fill('four loud red rooms');
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await page.locator('[role=alert]', { hasText: 'does not open with this passphrase' }).waitFor();
    expect(await axe(page)).toEqual([]);
    expect(existsSync(join(fresh.home, 'account'))).toBe(false);
  });

  test('a file that is refused on its way is told so, and not that the node is gone', async () => {
    const large = join(alice.home, 'large.backup');
    writeFileSync(large, Buffer.concat([Buffer.from('parlor backup\0'), Buffer.alloc(60_000_000, 7)]));
    // Another window hands one over, slowly: one at a time is taken.
    const other = request(`${fresh.api}/api/v1/web/setup/backup`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${await page.evaluate(() => sessionStorage.getItem('parlor.session'))}` },
    });
    other.on('error', () => undefined);
    other.write(readFileSync(backup).subarray(0, 1_000));
    await eventually(
      async () => (await fresh.call<{ step: string }>('GET', '/web/setup/backup')).step === 'nothing',
      'the other one is on its way',
    );
    await page.locator('input[type=file]').setInputFiles(large);
    await page.locator('[role=alert]').waitFor();
    expect(await page.locator('[role=alert]').textContent()).not.toContain('does not answer');
    expect(await axe(page)).toEqual([]);
    other.destroy();
    // The answer may be lost when the connection ends in the middle.
    await page.route('**/web/setup/backup', (route) =>
      route.request().method() === 'PUT' ? route.abort('connectionreset') : route.continue(),
    );
    await page.locator('input[type=file]').setInputFiles(large);
    await page.locator('[role=alert]', { hasText: 'did not take the file to the end' }).waitFor();
    await page.unroute('**/web/setup/backup');
    await eventually(async () => {
      await page.locator('input[type=file]').setInputFiles(backup);
      return page.getByLabel('Passphrase of the backup').isVisible();
    }, 'the place is free again');
  });

  test('with the right one everything is there, on a new device of the same account', async () => {
    await page.getByLabel('Passphrase of the backup').fill(PASSPHRASE);
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await page.getByRole('heading', { name: 'It is all here' }).waitFor();
    await page.locator('dd', { hasText: '1 message, 1 contact' }).waitFor();
    expect(await axe(page)).toEqual([]);
    await page.getByRole('button', { name: 'Open Parlor' }).click();
    await page.getByRole('link', { name: /Orchestra/ }).click();
    await page.locator('article', { hasText: 'We begin with the slow part' }).waitFor();
    const [old, now] = await Promise.all(
      [alice, fresh].map((node) => node.call<{ account: string; peer_id: string }>('GET', '/status')),
    );
    expect(now!.account).toBe(old!.account);
    expect(now!.peer_id).not.toBe(old!.peer_id);
    expect(existsSync(join(fresh.home, 'arriving'))).toBe(false);
  });

  test('the new device goes on: what it writes reaches the others, also after a restart', async () => {
    await page.locator('.composer textarea').waitFor();
    await page.locator('.composer textarea').fill('And from the new machine');
    await page.keyboard.press('Enter');
    const came = async (text: string): Promise<boolean> =>
      (await bob.call<{ items: { text: string }[] }>('GET', `/rooms/${room}/messages`)).items.some(
        (m) => m.text === text,
      );
    await eventually(() => came('And from the new machine'), 'Bob reads it');
    await fresh.stop();
    await fresh.run();
    await fresh.send(room, 'Still here');
    await eventually(() => came('Still here'), 'Bob reads what came after the restart');
  });

  test('nothing was blocked, nothing failed, nothing was asked of anybody but the node', () => {
    expect(wrongs.get(page)).toEqual([]);
  });

  test('a node that is killed in the middle leaves a new home or a whole one, whenever it was', async () => {
    const bytes = readFileSync(backup);
    for (const after of [0, 150, 400]) {
      await killed.wait();
      expect(readdirSync(killed.home)).not.toContain('arriving');
      await killed.call('PUT', '/web/setup/backup', bytes, 'application/octet-stream');
      await killed.call('POST', '/web/setup/restore', { passphrase: PASSPHRASE });
      await new Promise((resolve) => setTimeout(resolve, after));
      await killed.kill();
      // Whole: then it is Alice's, and the node runs on it.
      if (existsSync(join(killed.home, 'account'))) break;
      expect(readdirSync(killed.home)).not.toContain('store');
    }
    if (!existsSync(join(killed.home, 'account'))) {
      await killed.wait();
      await killed.call('PUT', '/web/setup/backup', bytes, 'application/octet-stream');
      await killed.call('POST', '/web/setup/restore', { passphrase: PASSPHRASE });
      await eventually(
        async () => (await killed.call<{ step: string }>('GET', '/web/setup/backup')).step === 'done',
        'it is restored',
      );
      await killed.stop();
    }
    killed.forget();
    await killed.run();
    const rooms = await killed.call<{ name: string }[]>('GET', '/rooms');
    expect(rooms.map((r) => r.name)).toEqual(['Orchestra']);
  });
});
