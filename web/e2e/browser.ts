// The system's Chromium, and what every test asks of a page: no blocked resource, no error, no request elsewhere, axe content.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Node } from './node';

const FINDER = new URL('../scripts/chromium.mjs', import.meta.url).pathname;
const CHROMIUM = execFileSync(process.execPath, [FINDER], { encoding: 'utf8' }).trim();
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export function launch(...more: string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      ...more,
    ],
  });
}

/** Long enough for a machine that does other things meanwhile. */
const PATIENCE_MS = 60_000;

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

export interface Look {
  viewport?: { width: number; height: number };
  theme?: 'light' | 'dark';
  locale?: 'en-GB' | 'de-DE';
}

export async function context(browser: Browser, look: Look = {}): Promise<BrowserContext> {
  const made = await browser.newContext({
    viewport: look.viewport ?? DESKTOP,
    colorScheme: look.theme ?? 'light',
    locale: look.locale ?? 'en-GB',
    reducedMotion: 'reduce',
    hasTouch: (look.viewport?.width ?? 1280) < 600,
  });
  await made.grantPermissions(['camera', 'microphone', 'notifications', 'clipboard-read', 'clipboard-write']);
  return made;
}

/** What went wrong in a page: errors, blocked resources, requests to anywhere but its node. */
export const wrongs = new WeakMap<Page, string[]>();

/** Opens an address and watches what goes wrong in it. */
export async function visit(within: BrowserContext, url: string): Promise<Page> {
  const page = await within.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const own = new URL(url).origin;
  const list: string[] = [];
  wrongs.set(page, list);
  page.on('pageerror', (error) => list.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A request refused by the node, or while it is away, is not the page's fault.
    const refused = /ERR_CONNECTION_REFUSED|Failed to load resource|WebSocket connection/;
    if (message.type() === 'error' && !refused.test(message.text())) list.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const to = new URL(request.url());
    if (to.protocol.startsWith('http') && to.origin !== own) list.push(`request elsewhere: ${to.origin}`);
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      // oxlint-disable-next-line no-console -- how a violation reaches the test
      console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  await page.goto(url);
  return page;
}

/** The page of a node, inside. */
export async function open(within: BrowserContext, node: Node, path = ''): Promise<Page> {
  const page = await visit(within, node.door());
  await page.locator('.shell').waitFor();
  if (path) await page.evaluate((hash) => (location.hash = hash), path);
  return page;
}

/** Findings of axe, one line each; none is what a screen should have. */
export async function axe(page: Page): Promise<string[]> {
  // Evaluated by the debugger, so the page's own policy does not apply to it.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    interface Axe {
      run(
        on: Document,
        options: object,
      ): Promise<{ violations: { id: string; nodes: { html: string; any: { message: string }[] }[] }[] }>;
    }
    const run = (window as unknown as { axe: Axe }).axe;
    const found = await run.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    });
    return found.violations.flatMap((v) =>
      v.nodes.slice(0, 4).map(
        (n) =>
          `${v.id}: ${n.html.slice(0, 160)} ${n.any
            .map((a) => a.message)
            .join('; ')
            .slice(0, 160)}`,
      ),
    );
  });
}
