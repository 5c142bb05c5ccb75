// What comes while nobody looks at the window waits unread below its line.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from './node';
import { over, two, type Two } from './two';

const MANY = 60;

let all: Two;
beforeAll(async () => void (all = await two('Unseen')));
afterAll(() => over(all));

/** Bob says much at once. */
const talk = (what: string, count: number): Promise<unknown> =>
  all.bob.call('POST', `/rooms/${all.room}/messages/batch`, {
    messages: Array.from({ length: count }, (_, n) => ({ text: `${what} ${n}` })),
  });
/** Another window is in front, or this one is again. */
const look = (page: Page, looked: boolean): Promise<void> =>
  page.evaluate((on) => {
    document.hasFocus = () => on;
    dispatchEvent(new Event(on ? 'focus' : 'blur'));
  }, looked);
const unread = async (): Promise<number> =>
  (await all.alice.call<{ unread: number }>('GET', `/rooms/${all.room}`)).unread;
/** Where the line stands below the upper edge of the list, if it is in view. */
const line = (page: Page): Promise<number | null> =>
  page.evaluate(() => {
    const box = document.querySelector('.scroller')!.getBoundingClientRect();
    const at = document.querySelector('.new')?.getBoundingClientRect();
    return at && at.top >= box.top && at.bottom <= box.bottom ? at.top - box.top : null;
  });

test('what came while nobody looked is below its line when one comes back, and unread until it was in view', async () => {
  const { a } = all;
  await talk('seen', 30);
  await a.locator('article', { hasText: 'seen 29' }).waitFor();
  await eventually(async () => (await unread()) === 0, 'what is looked at is read');
  await look(a, false);
  await talk('unseen', MANY);
  await eventually(async () => (await unread()) === MANY, 'all came');
  await eventually(async () => (await line(a)) !== null, 'the list stopped at the line');
  await look(a, true);
  // Longer than reading takes.
  await a.waitForTimeout(2_000);
  expect(await line(a)).not.toBe(null);
  const left = await unread();
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(MANY);
  await a.locator('.down').click();
  await eventually(async () => (await unread()) === 0, 'the end is read');
});

test('who looks goes on following what comes', async () => {
  const { a } = all;
  await talk('looked at', MANY);
  await a.locator('article', { hasText: `looked at ${MANY - 1}` }).waitFor();
  await eventually(async () => (await unread()) === 0, 'all is read');
});
