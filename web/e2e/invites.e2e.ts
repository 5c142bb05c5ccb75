// Invites in the browser, with all that the node tells of them; and what it tells in words of its own, in another language.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { axe, context, launch, open, wrongs } from './browser';
import { eventually, Node, roomOf } from './node';

let browser: Browser;
let alice: Node;
let bob: Node;
let carol: Node | undefined;
let room: string;
let a: Page;

beforeAll(async () => {
  [browser, alice, bob] = await Promise.all([launch(), Node.start('Alice'), Node.start('Bob')]);
  room = await roomOf(alice, [bob], 'Atelier');
  a = await open(await context(browser), alice, `#/room/${room}/info`);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([alice?.end(), bob?.end(), carol?.end()]);
});

const row = (text: string): ReturnType<Page['locator']> => a.locator('aside .listed li', { hasText: text });

describe('invites in the browser', () => {
  test('an invite is made for nothing of the past, for all of it, or for what was written since a day', async () => {
    for (const [choice, told] of [
      ['What is written after they come', 'reads only what is written after that'],
      ['All that newcomers may read', 'reads everything, also from before'],
      // All of it is of today.
      ['What was written since a day', 'reads everything, also from before'],
    ] as const) {
      await a.getByRole('button', { name: 'New invite' }).click();
      await a.getByLabel('They can read').selectOption({ label: choice });
      if (choice.includes('day')) {
        const today = await a.getByLabel('Since', { exact: true }).getAttribute('max');
        await a.getByLabel('Since', { exact: true }).fill(today!);
        expect(await axe(a)).toEqual([]);
      }
      await a.locator('dialog button[type=submit]').click();
      await a.locator('dialog .made', { hasText: told }).waitFor();
      await a.getByRole('button', { name: 'Done' }).click();
      await row(told).first().waitFor();
    }
    expect(await axe(a)).toEqual([]);
  });

  test('an invite that ended says why, by whom, and who came by it', async () => {
    await row('reads only').getByRole('button', { name: 'Revoke' }).click();
    await a.getByRole('button', { name: /^Show \d+ old/ }).click();
    await row('Revoked by you').waitFor();
    await row('Came by it: Bob').filter({ hasText: 'used up' }).waitFor();
    const account = (await bob.call<{ account: string }>('GET', '/status')).account;
    await alice.call('PUT', `/rooms/${room}/members/${account}/role`, { role: 'admin' });
    await eventually(
      async () => (await bob.call<{ role: string }>('GET', `/rooms/${room}`)).role === 'admin',
      'Bob is an admin',
    );
    await bob.call('POST', `/rooms/${room}/invites`, { uses: 5 });
    await eventually(
      async () => (await alice.call<{ uses: number }[]>('GET', `/rooms/${room}/invites`)).some((i) => i.uses === 5),
      'Alice hears of it',
    );
    const since = new Date().toISOString();
    await alice.call('POST', `/rooms/${room}/members/${account}/remove`, {});
    await row('Bob is out of the room').waitFor();
    await row('Came by it: Bob (gone)').waitFor();
    // From his end on there are new keys, and so a time from which on can be read.
    await alice.call('POST', `/rooms/${room}/invites`, { since, delegate: 2, uses: 7 });
    await a.reload();
    await row('0 of 7 used').filter({ hasText: 'reads what was written since' }).waitFor();
    await row('May invite others, 2 steps in all').waitFor();
    expect(await axe(a)).toEqual([]);
  });

  test('who asked to come in sees in the list what that waits for, also later, and how it ended', async () => {
    carol = await Node.start('Carol');
    const invite = await alice.call<{ link: string }>('POST', `/rooms/${room}/invites`, { approve: true });
    const c = await open(await context(browser), carol, '#/');
    await c.locator('.list header').getByRole('button', { name: 'New' }).click();
    await c.getByRole('menuitem', { name: 'Join a room' }).click();
    await c.getByLabel('Invite link').fill(invite.link);
    await c.locator('dialog button[type=submit]').click();
    await c.locator('dialog .state').waitFor();
    await c.locator('dialog footer .btn', { hasText: 'Close' }).click();
    await c.locator('.join', { hasText: 'Waiting for approval' }).waitFor();
    await c.reload();
    await c.locator('.join', { hasText: 'Waiting for approval' }).waitFor();
    expect(await axe(c)).toEqual([]);
    // Another browser of hers sees that it is cancelled.
    const other = await open(await context(browser), carol, '#/');
    await other.locator('.join', { hasText: 'Waiting for approval' }).waitFor();
    await c.locator('.join').click();
    await c.getByRole('button', { name: 'Withdraw request' }).click();
    const sure = c.locator('dialog', { hasText: 'Withdraw this request?' }).last();
    await sure.waitFor();
    expect(await axe(c)).toEqual([]);
    await sure.locator('footer .btn.primary').click();
    for (const page of [c, other]) await page.locator('.join').waitFor({ state: 'detached' });
    expect(await carol.call<{ joins: unknown[] }>('GET', '/status')).toMatchObject({ joins: [] });
    await carol.call('POST', '/join', { link: invite.link, timeout: 20, once_asked: true });
    const account = (await carol.call<{ account: string }>('GET', '/status')).account;
    await eventually(
      async () => (await alice.call<unknown[]>('GET', `/rooms/${room}/requests`)).length > 0,
      'Alice has the request',
    );
    await alice.call('POST', `/rooms/${room}/requests/${account}/refuse`);
    const ended = c.locator('.join', { hasText: 'You were not let in' });
    await ended.waitFor();
    await ended.click();
    await c.locator('dialog .state', { hasText: 'You were not let in' }).waitFor();
    expect(await axe(c)).toEqual([]);
    await c.getByRole('button', { name: 'Clear', exact: true }).click();
    for (const page of [c, other]) await page.locator('.join').waitFor({ state: 'detached' });
    expect(wrongs.get(c)).toEqual([]);
  });

  test('why nothing goes out, and what was tried, is told in the language of the reader', async () => {
    const card = await bob.call<{ link: string }>('GET', '/contacts/card');
    await bob.stop();
    const chat = await alice.call<{ room: string }>('POST', '/dm', { who: card.link, text: 'Are you there?' });
    const german = await open(await context(browser, { locale: 'de-DE' }), alice, `#/room/${chat.room}/info`);
    await german.getByText('Die andere Person hat noch nicht zugesagt oder war seitdem nicht da.').first().waitFor();
    await german.evaluate(() => (location.hash = '#/settings/connection'));
    await german.getByText('In deinen Chats und Räumen').or(german.locator('details summary')).first().waitFor();
    const said = (await german.locator('main').innerText()).toLowerCase();
    for (const english of ['dialling', 'waiting at', 'sending again', 'no member', 'goes out by itself'])
      expect(said).not.toContain(english);
    expect(wrongs.get(german)).toEqual([]);
  });

  test('nothing was blocked, nothing failed, nothing was asked of anybody but the node', () => {
    expect(wrongs.get(a)).toEqual([]);
  });
});
