// What people tell of themselves: set in one browser, seen in the other as far as it is for him.
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { axe, wrongs } from './browser';
import { eventually, type Node } from './node';
import { picture, thirds } from './made';
import { over, two, type Two } from './two';

let all: Two;
let alice: Node;
let bob: Node;
let room: string;
let account: string;
let a: Page;
let b: Page;

beforeAll(async () => {
  all = await two('Choir', { a: '#/settings/profile', b: '/info' });
  ({ alice, bob, room, a, b } = all);
  account = (await alice.call<{ account: string }>('GET', '/status')).account;
  await a.getByLabel('About you').waitFor();
});
afterAll(() => over(all));

/** The group of one field on the page of the own profile. */
const group = (has: string): Locator => a.locator('.group', { hasText: has });
const show = (page: Page, hash: string): Promise<void> => page.evaluate((to) => void (location.hash = to), hash);
const drawn = (face: Locator): Promise<true> =>
  eventually(
    async () => ((await face.evaluate((img: HTMLImageElement) => img.naturalWidth)) > 0 ? true : null),
    'the picture is drawn',
  );

describe('a profile in the browser', () => {
  test('a picture that is set in one browser is seen beside the name in the other, in the list and in the room', async () => {
    await alice.send(room, 'Who sings alto?');
    const said = b.locator('article', { hasText: 'Who sings alto?' });
    await said.waitFor();
    expect(await said.locator('.avatar img').count()).toBe(0);
    await a
      .locator('input[type=file]')
      .setInputFiles({ name: 'sea.png', mimeType: 'image/png', buffer: picture(300, 200) });
    await a.locator('dialog canvas').waitFor();
    expect(await axe(a)).toEqual([]);
    await a.getByRole('button', { name: 'Use it' }).click();
    await drawn(a.locator('.picture .avatar img'));
    await drawn(b.locator('aside li', { hasText: 'Alice' }).locator('.avatar img'));
    await drawn(said.locator('.avatar img'));
    expect(await axe(a)).toEqual([]);
    expect(await axe(b)).toEqual([]);
  });

  test('a name and a picture of any kind reach members at once; what is for contacts does not come with them', async () => {
    const old = await a.locator('.picture .avatar img').getAttribute('src');
    await group('Who sees it').getByRole('radio', { name: 'Contacts' }).check();
    await a.getByLabel('About you').fill('Alto, second row.\nAsk me for sheets.');
    await group('Who sees it').getByRole('button', { name: 'Save' }).click();
    // The node takes PNG and JPEG: of another kind the page draws one.
    const webp = await a.evaluate(async () => {
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [90, 60];
      canvas.getContext('2d')?.fillRect(0, 0, 90, 60);
      const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/webp'));
      return [...new Uint8Array(await blob!.arrayBuffer())];
    });
    await a
      .locator('input[type=file]')
      .setInputFiles({ name: 'black.webp', mimeType: 'image/webp', buffer: Buffer.from(webp) });
    await a.getByRole('button', { name: 'Use it' }).click();
    await eventually(
      async () => (await a.locator('.picture .avatar img').getAttribute('src')) !== old,
      'the new picture is shown',
    );
    await a.getByLabel('Name', { exact: true }).fill('Alice Adler');
    await group('Who sees this name').getByRole('button', { name: 'Save' }).click();
    await a.locator('.me', { hasText: 'Alice Adler' }).first().waitFor();

    await b.locator('article', { hasText: 'Who sings alto?' }).locator('.name', { hasText: 'Alice Adler' }).waitFor();
    await b.locator('aside li', { hasText: 'Alice Adler' }).waitFor();
    const own = await alice.call<{ picture: { value: string } }>('GET', '/profile');
    const told = await bob.call<{ picture?: string; about?: string }>('GET', `/profiles/${account}`);
    expect(told.picture).toBe(own.picture.value);
    expect(told.about).toBeUndefined();
    await show(b, `#/people/${account}`);
    await b.locator('.person h1', { hasText: 'Alice Adler' }).waitFor();
    expect(await b.locator('.person .about').count()).toBe(0);
  });

  test('the place of the picture in its frame is chosen with the keys and by hand, and nothing else of it is sent', async () => {
    const middle = (): Promise<number[]> =>
      a.locator('.picture .avatar img').evaluate((img: HTMLImageElement) => {
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = 9;
        const context = canvas.getContext('2d')!;
        context.drawImage(img, 0, 0, 9, 9);
        return Array.from(context.getImageData(4, 4, 1, 1).data);
      });
    /** Sets a picture of three colours at a place; answers what is seen in the middle then. */
    const set = async (place: () => Promise<void>): Promise<string> => {
      const before = await a.locator('.picture .avatar img').getAttribute('src');
      await a
        .locator('input[type=file]')
        .setInputFiles({ name: 'three.png', mimeType: 'image/png', buffer: thirds(600, 200) });
      await a.locator('dialog canvas').waitFor();
      await place();
      await a.getByRole('button', { name: 'Use it' }).click();
      await a.locator('dialog canvas').waitFor({ state: 'detached' });
      await eventually(
        async () => (await a.locator('.picture .avatar img').getAttribute('src')) !== before,
        'another picture is shown',
      );
      await drawn(a.locator('.picture .avatar img'));
      const [red, green, blue] = await middle();
      return red! > 150 ? 'left' : green! > 150 ? 'middle' : blue! > 150 ? 'right' : 'none';
    };
    const frame = a.getByRole('application', { name: 'Place in the frame' });
    expect(
      await set(async () => {
        await frame.focus();
        for (let i = 0; i < 25; i++) await a.keyboard.press('ArrowRight');
      }),
    ).toBe('left');
    expect(
      await set(async () => {
        const box = (await frame.boundingBox())!;
        await a.mouse.move(box.x + box.width - 4, box.y + 40);
        await a.mouse.down();
        await a.mouse.move(box.x + 4, box.y + 40, { steps: 5 });
        await a.mouse.up();
      }),
    ).toBe('right');
    expect(
      await set(async () => {
        await frame.focus();
        for (let i = 0; i < 9; i++) await a.keyboard.press('+');
        expect(Number(await a.getByLabel('Size').inputValue())).toBeGreaterThan(2);
        expect(await axe(a)).toEqual([]);
      }),
    ).toBe('middle');
  });

  test('who becomes a contact sees what is for contacts, and when somebody was here if that is wanted', async () => {
    await group('Who sees when you were here').getByRole('radio', { name: 'Contacts' }).check();
    await bob.call('POST', '/dm', { who: account, text: 'Hello!' });
    await eventually(async () => {
      const book = await alice.call<{ state: string }[]>('GET', '/contacts');
      return book.find((c) => c.state === 'asking' || c.state === 'contact');
    }, 'Bob asks');
    const bobId = (await bob.call<{ account: string }>('GET', '/status')).account;
    await alice.call('POST', '/dm', { who: bobId, text: 'Hello Bob!' });
    await b.locator('.person .about', { hasText: 'Ask me for sheets.' }).waitFor();
    await eventually(
      async () => (await bob.call<{ last_seen?: string }>('GET', `/profiles/${account}`)).last_seen,
      'Bob is told when she was here',
    );
    expect(await axe(b)).toEqual([]);
  });

  test('what is taken back goes from the page of the other, and stays on the own one', async () => {
    await group('Who sees when you were here').getByRole('radio', { name: 'Nobody' }).check();
    await group('Who sees it').getByRole('radio', { name: 'Nobody' }).check();
    await a.locator('.picture').getByRole('button', { name: 'Remove' }).click();
    await b.locator('.person .about').waitFor({ state: 'detached' });
    await b.locator('.person .avatar img').waitFor({ state: 'detached' });
    expect(await b.locator('.person .avatar').first().getAttribute('data-letters')).toBe('AA');
    expect((await bob.call<{ last_seen?: string }>('GET', `/profiles/${account}`)).last_seen).toBeUndefined();
    expect(await a.getByLabel('About you').inputValue()).toContain('second row');
    expect((await alice.call<{ about: { value: string } }>('GET', '/profile')).about.value).toContain('second row');
  });

  test('nothing was blocked, nothing failed, nothing was asked of anybody but the node', () => {
    expect([...(wrongs.get(a) ?? []), ...(wrongs.get(b) ?? [])]).toEqual([]);
  });
});
