// Films, voices and codes before a camera, with the devices that Chromium pretends to have; and what the browser tells of.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { axe, context, launch, open, wrongs } from './browser';
import { eventually, type Node } from './node';
import { over, two, type Two } from './two';

const SPOKEN_MS = 1_500;

let folder: string;
let all: Two;
let alice: Node;
let bob: Node;
let room: string;
let a: Page;
let b: Page;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'parlor-media-'));
  all = await two('Two');
  ({ alice, bob, room, a, b } = all);
});
afterAll(async () => {
  await over(all);
  rmSync(folder, { recursive: true, force: true });
});

describe('films, voices, cameras, notifications', () => {
  test('a voice is recorded, looked at before it is sent, and played by the other', async () => {
    await a.getByRole('button', { name: 'Record a voice message' }).click();
    await a.locator('.voice [role=timer]').waitFor();
    await a.waitForTimeout(SPOKEN_MS);
    expect(await axe(a)).toEqual([]);
    await a.getByRole('button', { name: 'Attach recording' }).click();
    await a.locator('.composer li').waitFor();
    await a.waitForFunction(() => !document.querySelector('.composer li progress'));
    await a.locator('.composer textarea').press('Enter');
    // It comes without being asked for, and how loud it is is seen before it is played.
    const heard = b.locator('article').last();
    await heard.locator('.sound').getByText('Voice message').waitFor();
    await heard.locator('.wave i').first().waitFor();
    expect(await heard.locator('.wave i').count()).toBe(44);
    expect(await heard.locator('.wave .past').count()).toBe(0);
    await heard.getByRole('button', { name: 'Play' }).click();
    const audio = heard.locator('audio');
    await eventually(() => audio.evaluate((it: HTMLAudioElement) => it.currentTime > 0.2), 'the voice is heard');
    expect(await audio.evaluate((it: HTMLAudioElement) => it.error)).toBeNull();
    await heard.locator('.wave .past').first().waitFor();
    expect(await axe(b)).toEqual([]);
    // By keyboard too: into the message, along to its place, and out again.
    await heard.focus();
    await b.keyboard.press('Enter');
    const place = heard.getByRole('slider');
    for (let i = 0; i < 8 && !(await place.evaluate((it) => it === document.activeElement)); i++)
      await b.keyboard.press('ArrowRight');
    expect(await place.evaluate((it) => it === document.activeElement)).toBe(true);
    await b.keyboard.press('End');
    await eventually(() => place.evaluate((it: HTMLInputElement) => Number(it.value) > 0), 'its place is moved');
    await b.keyboard.press('ArrowUp');
    expect(await b.evaluate(() => document.activeElement?.tagName)).toBe('BUTTON');
    await b.keyboard.press('Escape');
    expect(await b.evaluate(() => document.activeElement?.tagName)).toBe('ARTICLE');
  });

  test('a recording is attached where it was begun when the room is left, and no key for something else ends it', async () => {
    const other = (await alice.call<{ room: string }>('POST', '/rooms', { name: 'Attic' })).room;
    await a.getByRole('button', { name: 'Record a voice message' }).click();
    await a.locator('.voice [role=timer]').waitFor();
    await a.waitForTimeout(SPOKEN_MS);
    // A key that closes something else is not meant for it.
    await a.keyboard.press('Control+k');
    await a.locator('dialog[open]').waitFor();
    await a.keyboard.press('Escape');
    await a.locator('dialog[open]').waitFor({ state: 'detached' });
    expect(await a.locator('.voice').count()).toBe(1);
    await a.evaluate((r) => (location.hash = `#/room/${r}`), other);
    await a.locator('h1', { hasText: 'Attic' }).waitFor();
    await a.locator('.composer textarea').waitFor();
    expect(await a.locator('.composer li').count()).toBe(0);
    await a.evaluate((r) => (location.hash = `#/room/${r}`), room);
    await a.locator('.composer li', { hasText: 'voice-' }).waitFor();
    await a.waitForFunction(() => !document.querySelector('.composer li progress'));
    await a.getByRole('button', { name: /^Do not attach voice-/ }).click();
    await a.locator('.composer li').waitFor({ state: 'detached' });
  });

  test('a recording is thrown away by a press, and the microphone with it', async () => {
    await a.getByRole('button', { name: 'Record a voice message' }).click();
    await a.locator('.voice [role=timer]').waitFor();
    await a.getByRole('button', { name: 'Discard recording' }).click();
    await a.locator('.composer textarea').waitFor();
    expect(await a.locator('.composer li').count()).toBe(0);
  });

  test('a film is played where it stands, and can be wound', async () => {
    const path = join(folder, 'sea.webm');
    writeFileSync(path, await film(a));
    await a.locator('.composer input[type=file]').setInputFiles(path);
    await a.locator('.composer li').waitFor();
    await a.waitForFunction(() => !document.querySelector('.composer li progress'));
    await a.locator('.composer textarea').press('Enter');
    await b.locator('article').nth(1).waitFor();
    const shown = await arrived(b, '.film');
    await shown.getByRole('button', { name: /Play/ }).click();
    const video = shown.locator('video');
    await eventually(
      () => video.evaluate((it: HTMLVideoElement) => it.videoWidth === 320 && it.currentTime > 0.1),
      'the film is seen',
    );
    await video.evaluate((it: HTMLVideoElement) => {
      it.pause();
      it.currentTime = 0.05;
    });
    await eventually(
      () => video.evaluate((it: HTMLVideoElement) => !it.seeking && it.currentTime < 0.1),
      'it is wound',
    );
    expect(await axe(b)).toEqual([]);
  });

  test('who is asked to be told of messages is, also of a window nobody looks at, with no more than he allows', async () => {
    await b.evaluate(() => {
      const Real = Notification;
      const told: string[] = ((window as unknown as { told: string[] }).told = []);
      window.Notification = class extends Real {
        constructor(title: string, options?: NotificationOptions) {
          super(title, options);
          told.push(`${title}|${options?.body ?? ''}`);
        }
      };
    });
    await b.evaluate(() => (location.hash = '#/settings/notices'));
    await b.getByRole('radio', { name: /Who and where/ }).check();
    await b.getByRole('switch', { name: /Notifications of this browser/ }).check();
    const told = (): Promise<string[]> => b.evaluate(() => (window as unknown as { told: string[] }).told);
    await alice.send(room, 'secret words that no notification shows');
    await eventually(async () => (await told()).length > 0, 'the browser tells of it');
    const said = (await told()).join('\n');
    expect(said).toContain('Alice');
    expect(said).not.toContain('secret words');
    await b.evaluate((r) => (location.hash = `#/room/${r}`), room);
  });

  test('a code before the camera lets its finder in', async () => {
    const hall = await alice.call<{ room: string }>('POST', '/rooms', { name: 'Hall' });
    const invite = await alice.call<{ link: string }>('POST', `/rooms/${hall.room}/invites`, {});
    const code = await fetch(`${alice.api}/api/v1/qr`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${alice.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ text: invite.link, format: 'png' }),
    });
    const path = join(folder, 'code.y4m');
    writeFileSync(path, await seen(a, Buffer.from(await code.arrayBuffer())));
    const looking = await launch(`--use-file-for-fake-video-capture=${path}`);
    try {
      const page = await open(await context(looking), bob);
      await page.keyboard.press('Control+k');
      await page.locator('dialog input').fill('Join a room');
      await page.keyboard.press('Enter');
      await page.locator('dialog').getByRole('button', { name: 'Camera' }).click();
      await page.locator('h1', { hasText: 'Hall' }).waitFor();
      expect(wrongs.get(page)).toEqual([]);
    } finally {
      await looking.close();
    }
  });

  test('nothing was blocked, nothing failed, nothing was asked of anybody but the node', () => {
    expect([...(wrongs.get(a) ?? []), ...(wrongs.get(b) ?? [])]).toEqual([]);
  });
});

/** The last message, once its file is here: what does not come by itself is fetched by a press. */
async function arrived(page: Page, what: string): Promise<Locator> {
  const article = page.locator('article').last();
  const fetch = article.getByRole('button', { name: /^Fetch/ });
  await article.locator(what).or(fetch).first().waitFor();
  if (await fetch.first().isVisible()) await fetch.first().click();
  await article.locator(what).waitFor();
  return article;
}

/** A second of a square that moves, made by the browser. */
async function film(page: Page): Promise<Buffer> {
  const text = await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [320, 180];
    const paint = canvas.getContext('2d')!;
    const parts: Blob[] = [];
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: 'video/webm;codecs=vp8' });
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const done = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    for (let frame = 0; frame < 30; frame++) {
      paint.fillStyle = '#0b6b6b';
      paint.fillRect(0, 0, 320, 180);
      paint.fillStyle = '#fff';
      paint.fillRect(frame * 8, 70, 40, 40);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    recorder.stop();
    await done;
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  });
  return Buffer.from(text, 'base64');
}

/** What a camera sees that is held before a picture: frames of grey, as Chromium reads them from a file. */
async function seen(page: Page, png: Buffer): Promise<Buffer> {
  const [width, height] = [640, 480];
  const text = await page.evaluate(
    async ([base64, w, h]) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const picture = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
      const canvas = new OffscreenCanvas(w, h);
      const paint = canvas.getContext('2d')!;
      paint.fillStyle = '#d8d8d8';
      paint.fillRect(0, 0, w, h);
      const side = h * 0.92;
      paint.drawImage(picture, (w - side) / 2, (h - side) / 2, side, side);
      const { data } = paint.getImageData(0, 0, w, h);
      let grey = '';
      for (let i = 0; i < data.length; i += 4) grey += String.fromCharCode(data[i]!);
      return btoa(grey);
    },
    [png.toString('base64'), width, height] as const,
  );
  const colour = Buffer.alloc((width * height) / 2, 128);
  const frame = Buffer.concat([Buffer.from('FRAME\n'), Buffer.from(text, 'base64'), colour]);
  const head = Buffer.from(`YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`);
  return Buffer.concat([head, ...Array.from({ length: 10 }, () => frame)]);
}
