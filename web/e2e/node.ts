// Real nodes for the browser tests: a home each, started and stopped as a user's are.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The program under test: a debug build, which reads the page from `web/dist` at run time. */
const PARLOR = process.env.PARLOR_BIN ?? new URL('../../target/debug/parlor', import.meta.url).pathname;
/** The built page. */
export const DIST = process.env.PARLOR_UI_DIR ?? new URL('../dist', import.meta.url).pathname;

export class Node {
  readonly home = mkdtempSync(join(tmpdir(), 'parlor-web-'));
  api = '';
  private child: ChildProcess | null = null;

  constructor(readonly name: string) {}

  static async start(name: string): Promise<Node> {
    const node = new Node(name);
    node.cli('init', '--name', name);
    await node.run();
    return node;
  }

  /** Runs the node, again on the same port if it ran before: an open page finds it there. */
  async run(...more: string[]): Promise<void> {
    const port = this.api ? new URL(this.api).port : '0';
    const args = ['--home', this.home, '--json', 'run', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];
    const child = spawn(PARLOR, [...args, '--api', `127.0.0.1:${port}`, ...more], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PARLOR_UI_DIR: DIST },
    });
    this.child = child;
    const errors: string[] = [];
    child.stderr.on('data', (data: Buffer) => errors.push(data.toString()));
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line) as { event: string; api: string };
      if (event.event === 'ready') {
        this.api = event.api;
        child.stdout.resume();
        return;
      }
    }
    throw new Error(`${this.name} did not start: ${errors.join('')}`);
  }

  /** Starts without an account: the node waits for a browser to make one. Answers the address that opens the page. */
  async wait(): Promise<string> {
    const args = ['--home', this.home, '--json', 'run', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];
    const child = spawn(PARLOR, [...args, '--web', '--no-open'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PARLOR_UI_DIR: DIST },
    });
    this.child = child;
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line) as { event: string; url?: string };
      child.stdout.resume();
      if (event.url) {
        this.api = new URL(event.url).origin;
        return event.url;
      }
    }
    throw new Error('it did not wait for a browser');
  }

  async stop(): Promise<void> {
    const child = this.child;
    this.child = null;
    if (!child || child.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGTERM');
    });
  }

  /** As if the machine had lost its power. */
  async kill(): Promise<void> {
    const child = this.child;
    this.child = null;
    if (!child || child.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
    });
  }

  /** Its port is another one the next time. */
  forget(): void {
    this.api = '';
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.home, { recursive: true, force: true });
  }

  cli(...args: string[]): string {
    return execFileSync(PARLOR, ['--home', this.home, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  json<T>(...args: string[]): T {
    return JSON.parse(this.cli('--json', ...args).split('\n')[0] ?? '') as T;
  }

  get token(): string {
    return readFileSync(join(this.home, 'token'), 'utf8').trim();
  }

  /** An address that opens the page with a session of its own. */
  door(): string {
    return this.json<{ url: string }>('web', '--no-open').url;
  }

  async call<T>(method: string, path: string, body?: unknown, type = 'application/json'): Promise<T> {
    const response = await fetch(`${this.api}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, ...(body !== undefined && { 'Content-Type': type }) },
      ...(body !== undefined && { body: body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  async send(room: string, text: string, more: object = {}): Promise<string> {
    const answer = await this.call<{ message: string }>('POST', `/rooms/${room}/messages`, { text, ...more });
    return answer.message;
  }
}

/** Waits until something holds; for what happens in other processes. */
export async function eventually<T>(what: () => Promise<T | false | undefined | null>, why: string): Promise<T> {
  const until = Date.now() + 90_000;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const got = await what();
      if (got) return got;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  throw new Error(`${why}: not within 90 s ${String(last ?? '')}`);
}

/** A room of the first with all others in it. */
export async function roomOf(owner: Node, others: Node[], name: string): Promise<string> {
  const room = await owner.call<{ room: string }>('POST', '/rooms', { name });
  for (const other of others) {
    const invite = await owner.call<{ link: string }>('POST', `/rooms/${room.room}/invites`, { uses: 1 });
    await other.call('POST', '/join', { link: invite.link, timeout: 60 });
  }
  return room.room;
}

/** Messages a batch. */
const BATCH = 100;

/** Writes many messages into a room; `told` is told how many there are. */
export async function fill(
  node: Node,
  room: string,
  count: number,
  text: (n: number) => string,
  told: (n: number) => void = () => undefined,
): Promise<void> {
  for (let from = 0; from < count; from += BATCH) {
    const messages = Array.from({ length: BATCH }, (_, i) => ({ text: text(from + i) }));
    await node.call('POST', `/rooms/${room}/messages/batch`, { messages });
    told(from);
  }
}
