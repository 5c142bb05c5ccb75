// The built page: how much of it starts it, and that it knows no address but its own.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { DIST } from './node';

/** Scripts and styles that are fetched before a room is on the screen, compressed. */
const START_BYTES_MAX = 150_000;
/** Names of languages of documents, and what Svelte's errors point people to: text, fetched by nobody. */
const NAMES_ONLY = /^(http:\/\/www\.w3\.org\/|https:\/\/svelte\.dev\/e\/)/;

const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((name) => /\.[a-z]+$/.test(name));
const read = (name: string): string => readFileSync(join(DIST, name), 'utf8');

/** What a script needs before it runs, with itself. */
function needs(name: string, all = new Set<string>()): Set<string> {
  if (all.has(name)) return all;
  all.add(name);
  for (const [, path] of read(name).matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) needs(`assets/${path}`, all);
  return all;
}

test('what starts the page with a room on the screen is at most 150 kB compressed', () => {
  const named = [...read('index.html').matchAll(/(?:src|href)="\/(assets\/[^"]+\.(?:js|css))"/g)].map((m) => m[1]!);
  const room = files.filter((name) => /^assets\/(RoomView|worker)-[^/]+\.js$/.test(name));
  expect(named.some((name) => name.endsWith('.css'))).toBe(true);
  expect(room).toHaveLength(2);
  const start = new Set<string>();
  for (const name of [...named, ...room]) {
    if (name.endsWith('.js')) needs(name, start);
    else start.add(name);
  }
  const bytes = [...start].reduce((sum, name) => sum + gzipSync(read(name), { level: 9 }).length, 0);
  process.stdout.write(`the page starts with ${Math.round(bytes / 1000)} kB in ${start.size} files\n`);
  expect(start.size).toBeGreaterThan(5);
  expect(bytes).toBeLessThanOrEqual(START_BYTES_MAX);
});

test('no file of the page names an address to fetch something from', () => {
  const texts = files.filter((name) => /\.(html|js|css|svg|json|webmanifest)$/.test(name));
  expect(texts.length).toBeGreaterThan(20);
  const outside = texts.flatMap((name) =>
    [...read(name).matchAll(/\b(?:https?|wss?|ftp):\/\/[a-z0-9.[][^\s"'`)<>\\]*/gi)]
      .map((m) => m[0])
      .filter((url) => !NAMES_ONLY.test(url))
      .map((url) => `${name}: ${url}`),
  );
  expect(outside).toEqual([]);
});
