// Prints the path of a Chromium that runs here: CHROMIUM, one on the PATH, or playwright's own.
// `--install` gets one where there is none: of the system's packages where these may be installed, else playwright's download.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const CLI = new URL('../node_modules/playwright-core/cli.js', import.meta.url).pathname;

/** Where it is, or nothing. One that does not start, for want of a library, is none. */
function find() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const named = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  const all = process.env.CHROMIUM ? [process.env.CHROMIUM] : [...named, chromium.executablePath()];
  return all.find((path) => existsSync(path) && spawnSync(path, ['--version']).status === 0);
}

function tried(program, args) {
  try {
    // What it says goes to standard error: standard output is the path.
    execFileSync(program, args, { stdio: ['ignore', 2, 2] });
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
  }
}

let found = find();
if (!found && process.argv.includes('--install') && !process.env.CHROMIUM) {
  if (process.getuid?.() === 0) {
    tried('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium']);
    found = find();
  }
  if (!found) {
    tried(process.execPath, [CLI, 'install', '--no-shell', 'chromium']);
    found = find();
  }
}
if (!found) {
  process.stderr.write('there is no Chromium: install one, or name it in CHROMIUM\n');
  process.exit(1);
}
process.stdout.write(`${found}\n`);
