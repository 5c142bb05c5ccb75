// Two people in a room, each in a browser with a node of his own: what most tests begin with.
import type { Browser, Page } from 'playwright-core';
import { context, launch, open } from './browser';
import { Node, roomOf } from './node';

export interface Two {
  browser: Browser;
  alice: Node;
  bob: Node;
  room: string;
  a: Page;
  b: Page;
}

/** Both look at their room; `paths` say where else. */
export async function two(name: string, paths: { a?: string; b?: string } = {}): Promise<Two> {
  const [browser, alice, bob] = await Promise.all([launch(), Node.start('Alice'), Node.start('Bob')]);
  const room = await roomOf(alice, [bob], name);
  const a = await open(await context(browser), alice, paths.a ?? `#/room/${room}`);
  const b = await open(await context(browser), bob, `#/room/${room}${paths.b ?? ''}`);
  if (!paths.a) await a.locator('.composer textarea').waitFor();
  await b.locator('.composer textarea').waitFor();
  return { browser, alice, bob, room, a, b };
}

/** To be called whatever became of the beginning. */
export async function over(all: Two | undefined): Promise<void> {
  await all?.browser.close();
  await Promise.all([all?.alice.end(), all?.bob.end()]);
}
