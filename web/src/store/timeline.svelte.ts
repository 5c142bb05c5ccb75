// One room's history in this window: pages from the node, events as they come, and what is on its way.
import { tick } from 'svelte';
import { GET, Trouble, ok } from '../api/client';
import type { Message, NodeEvent } from '../api/types';
import { inWords } from '../ui/toasts.svelte';
import { Queue, handIn, newPending, passes, type Pending } from './outgoing';
import {
  EMPTY,
  HELD,
  SLACK,
  fileCame,
  joinNewer,
  joinOlder,
  letNewestGo,
  letOldestGo,
  onItsWay,
  readAnew,
  receive,
  remove,
  replace,
  stretch,
  type Stretch,
} from './window';

const PAGE = 60;

/** Where to begin to read. */
export type Anchor =
  | { kind: 'end' }
  | { kind: 'unread'; order: string }
  | { kind: 'message'; id: string }
  | { kind: 'date'; date: string };

type Query = { before?: string; after?: string; around?: string; date?: string };

function queryOf(anchor: Anchor): Query {
  if (anchor.kind === 'unread') return { around: anchor.order };
  if (anchor.kind === 'message') return { around: anchor.id };
  return anchor.kind === 'date' ? { date: anchor.date } : {};
}

export class Timeline {
  held = $state.raw<Stretch>(EMPTY);
  pending = $state.raw<readonly Pending[]>([]);
  /** Whether the last change was at the start of the list: the view then stays where it is. */
  shift = $state(false);
  loaded = $state(false);
  trouble = $state.raw<Trouble | null>(null);
  loadingOlder = $state(false);
  loadingNewer = $state(false);
  /** What to show once the rows are there. */
  target = $state.raw<Anchor | null>(null);
  /** The first message that was unread when the room was opened, or that came since then while nobody looked. */
  unreadFrom = $state<string | null>(null);
  /** The order of a message that the reader has before him: what is far from it is let go first. */
  inSight: string | null = null;
  /** Events were missed: what is held may have a hole, until it was read again. */
  stale = false;
  /** Told of each message that comes after all others. */
  whenArrived: ((message: Message) => void) | null = null;
  private turn = 0;
  private opening: Promise<void> = Promise.resolve();
  /** The newest page is on its way, and whether it is to be shown. */
  private prefetching: { shown: boolean } | null = null;
  /** What was asked for when it was opened. */
  private openedAt: Query = {};
  /** Requests for pages that are under way, and what was heard meanwhile: a page may be older than it. */
  private asking = 0;
  private heard: NodeEvent[] = [];

  constructor(
    readonly room: string,
    private readonly me: () => string,
    /** Of one thread instead of the whole room. */
    readonly thread: string | null = null,
    /** In which what is written here goes out: one of a room and its threads. */
    private readonly queue = new Queue(),
  ) {}

  get atEnd(): boolean {
    return this.held.newer === null;
  }

  open(anchor: Anchor): Promise<void> {
    if (anchor.kind === 'end' && this.prefetching) {
      this.prefetching.shown = true;
      return this.opening;
    }
    return (this.opening = this.read(anchor));
  }

  /** The newest page, before it is known where in the room to begin: shown once that is wanted. */
  prefetch(): void {
    if (this.loaded || this.asking > 0) return;
    const how = { shown: false };
    this.prefetching = how;
    this.opening = this.read({ kind: 'end' }, how).finally(() => {
      if (this.prefetching === how) this.prefetching = null;
    });
  }

  private async read(anchor: Anchor, how = { shown: true }): Promise<void> {
    const turn = ++this.turn;
    this.trouble = null;
    this.openedAt = queryOf(anchor);
    const taken = this.taken();
    try {
      const page = await this.page(this.openedAt);
      if (turn !== this.turn) return;
      this.shift = false;
      this.held = stretch(page);
      this.loaded = true;
      this.stale = false;
      this.catchUp();
      if (how.shown) this.target = anchor;
      if (this.atEnd) this.clear(taken);
    } catch (error) {
      if (turn === this.turn) this.trouble = asTrouble(error);
    }
  }

  /** The newest messages are here, before those between: they go where they stand, and the reader stays where he is. */
  async newestCame(): Promise<void> {
    if (!this.loaded || !this.atEnd) return;
    const turn = this.turn;
    try {
      const page = await this.newest();
      if (turn !== this.turn || !this.atEnd) return;
      this.set(this.held.items.length === 0 ? page : joinNewer(this.held, page));
      this.catchUp();
      void this.letGo();
    } catch {
      // They come with the others.
    }
  }

  /** All that is here before those between, of which a page may not hold all: what lies behind them is scrolled to as ever. */
  private async newest(): Promise<Stretch> {
    let all = stretch(await this.page({}));
    const known = new Set(this.held.items.map((m) => m.message));
    while (all.older !== null && all.items[0]?.early && !known.has(all.items[0].message)) {
      const before = await this.page({ before: all.older });
      if (before.items.length === 0) break;
      all = joinOlder(all, before);
    }
    return all;
  }

  /** What was read before events were heard, once more; nobody is moved. Answers whether it could be read. */
  async again(): Promise<boolean> {
    await this.opening;
    if (!this.loaded) return true;
    const turn = this.turn;
    const taken = this.taken();
    try {
      const page = stretch(await this.page(this.openedAt));
      if (turn !== this.turn) return true;
      const known = new Set(this.held.items.map((m) => m.message));
      if (known.size > 0 && page.items.length > 0 && !page.items.some((m) => known.has(m.message))) {
        this.stale = true;
        return await this.reload();
      }
      this.set(readAnew(this.held, page));
      this.catchUp();
      if (this.atEnd && page.newer === null) this.clear(taken);
      return true;
    } catch {
      this.stale = true;
      return false;
    }
  }

  /** After a break in which events were missed: the same place again. Answers whether it was read, or never will be. */
  async reload(): Promise<boolean> {
    if (!this.loaded || !this.stale) return true;
    const middle = this.atEnd ? undefined : this.held.items[Math.floor(this.held.items.length / 2)];
    await this.open(middle ? { kind: 'message', id: middle.message } : { kind: 'end' });
    // It may be what disappeared meanwhile.
    if (middle && this.trouble?.status === 404) await this.open({ kind: 'end' });
    return !this.stale || (this.trouble !== null && !mayBeRead(this.trouble));
  }

  async loadOlder(): Promise<void> {
    if (this.loadingOlder || this.held.older === null) return;
    const turn = this.turn;
    const from = this.held.older;
    this.loadingOlder = true;
    try {
      const page = await this.page({ before: from });
      // What it goes before may have been let go meanwhile.
      if (turn !== this.turn || this.held.older !== from) return;
      this.shift = true;
      this.held = joinOlder(this.held, page);
      this.catchUp();
      void this.letGo();
    } catch (error) {
      this.trouble = asTrouble(error);
    } finally {
      this.loadingOlder = false;
    }
  }

  async loadNewer(): Promise<void> {
    if (this.loadingNewer || this.held.newer === null) return;
    const turn = this.turn;
    const from = this.held.newer;
    this.loadingNewer = true;
    try {
      const page = await this.page({ after: from });
      if (turn !== this.turn || this.held.newer !== from) return;
      const first = this.held.items[0]?.message;
      const next = joinNewer(this.held, page);
      this.shift = next.items[0]?.message !== first;
      this.held = next;
      this.catchUp();
      void this.letGo();
    } catch (error) {
      this.trouble = asTrouble(error);
    } finally {
      this.loadingNewer = false;
    }
  }

  private async page(query: Query): Promise<Stretch> {
    if (this.asking === 0) this.heard = [];
    this.asking++;
    try {
      return await this.ask(query);
    } finally {
      this.asking--;
    }
  }

  /** An empty page that goes on is of what can not be read here: what is beyond it may be. */
  private async ask(query: Query): Promise<Stretch> {
    const turn = this.turn;
    let page = await this.askOnce(query);
    while (page.items.length === 0 && turn === this.turn) {
      const on = (query.after === undefined ? page.older : page.newer) ?? null;
      if (on === null) break;
      const { newer, older } = page;
      if (query.after === undefined) page = { ...(await this.askOnce({ before: on })), newer };
      else page = { ...(await this.askOnce({ after: on })), older };
    }
    return page;
  }

  private async askOnce(query: Query): Promise<Stretch> {
    if (this.thread) {
      return (await ok(
        GET('/api/v1/rooms/{room}/messages/{message}/thread', {
          params: { path: { room: this.room, message: this.thread }, query: { limit: PAGE, before: query.before } },
        }),
      )) as Stretch;
    }
    return (await ok(
      GET('/api/v1/rooms/{room}/messages', {
        params: { path: { room: this.room }, query: { limit: PAGE, system: true, ...query } },
      }),
    )) as Stretch;
  }

  hear(event: NodeEvent): void {
    if (this.asking > 0) this.heard.push(event);
    if (!this.loaded) return;
    const last = this.held.items[this.held.items.length - 1];
    const held = this.held;
    this.apply(event);
    if (event.event === 'message' && held !== this.held && this.atEnd && event.order > (last?.order ?? ''))
      this.whenArrived?.(event);
  }

  /** Bounds what is held, at the end away from the reader, once the list has drawn what came: of one change at both ends it could not
   * tell how far the view moved. */
  private async letGo(): Promise<void> {
    if (this.held.items.length <= HELD + SLACK) return;
    await tick();
    const { items } = this.held;
    const at = items.findIndex((m) => m.order >= (this.inSight ?? '\uffff'));
    this.shift = at < 0 || at >= items.length / 2;
    this.held = this.shift ? letOldestGo(this.held) : letNewestGo(this.held);
  }

  /** What was heard while the page was on its way, put upon it: some of it was no part of the page yet. */
  private catchUp(): void {
    const shift = this.shift;
    for (const event of this.heard) this.apply(event);
    this.shift = shift;
    this.settle();
  }

  private apply(event: NodeEvent): void {
    if (event.event === 'message' || event.event === 'system') {
      if (this.thread && event.thread !== this.thread) return;
      const before = this.held.items[0]?.message;
      const next = receive(this.held, event, joinNewer);
      // Late messages may go above; only what goes before all, or falls out there, moves the start.
      this.shift = before !== undefined && next.items[0]?.message !== before;
      this.held = next;
      void this.letGo();
      this.confirm(event);
    } else if (event.event === 'message.updated') this.set(replace(this.held, event));
    else if (event.event === 'message.expired') this.drop(event.message);
    else if (event.event === 'status') this.set(onItsWay(this.held, event));
    else if (event.event === 'file') this.set(fileCame(this.held, event));
  }

  /** A message as some request answered it. */
  update(message: Message): void {
    this.set(replace(this.held, message));
  }

  drop(message: string): void {
    this.set(remove(this.held, message));
    this.pending = this.pending.filter((p) => p.message !== message);
  }

  private set(held: Stretch): void {
    this.shift = false;
    this.held = held;
  }

  send(text: string, files: Pending['files'], replyTo: Message | null): void {
    const pending = newPending(this.room, text, files, replyTo, this.thread);
    this.shift = false;
    this.pending = [...this.pending, pending];
    if (!this.atEnd) void this.open({ kind: 'end' });
    this.queue.add(() => this.deliver(pending));
  }

  retry(clientId: string): void {
    const pending = this.pending.find((p) => p.clientId === clientId);
    if (pending?.state !== 'failed') return;
    this.mark(clientId, { state: 'behind', reason: '' });
    this.queue.add(() => this.deliver(pending));
  }

  discard(clientId: string): void {
    this.pending = this.pending.filter((p) => p.clientId !== clientId);
  }

  /** Answers whether the next one may go out. */
  private async deliver(pending: Pending): Promise<boolean> {
    const { clientId } = pending;
    this.mark(clientId, { state: 'sending', reason: '' });
    try {
      const message = await handIn(pending);
      if (message !== null) {
        this.mark(clientId, { message });
        this.settle();
      } else if (this.pending.find((p) => p.clientId === clientId)?.hidden) {
        // A message of the same words that came meanwhile is what it became.
        this.discard(clientId);
      } else this.mark(clientId, { state: 'kept' });
      return true;
    } catch (error) {
      const again = passes(error);
      this.mark(clientId, { hidden: false, ...(again ? { state: 'waiting' } : failedBy(error)) });
      return !again;
    }
  }

  /** An own message came as an event before the answer of the request that made it: its row takes the place. */
  private confirm(message: Message): void {
    if (message.author.account !== this.me()) return;
    const alike = (p: Pending): boolean => !p.message && !p.hidden && p.text.trim() === message.text.trim();
    const known = this.pending.find((p) => p.message === message.message);
    // What waited for keys becomes a message with an id that nobody told before.
    const done = known ?? this.pending.find((p) => p.state === 'kept' && alike(p));
    if (done) this.discard(done.clientId);
    else {
      const guess = this.pending.find((p) => p.state === 'sending' && alike(p));
      if (guess) this.mark(guess.clientId, { hidden: true });
    }
  }

  /** What is held already needs no row of its own. */
  private settle(): void {
    if (this.pending.length === 0) return;
    const held = new Set(this.held.items.map((m) => m.message));
    this.clear(new Set(this.pending.flatMap((p) => (p.message && held.has(p.message) ? [p.clientId] : []))));
  }

  /** What the node has, of which the event did not come yet. The newest page that is asked for now holds it, or it is gone. */
  private taken(): ReadonlySet<string> {
    return new Set(this.pending.flatMap((p) => (p.message ? [p.clientId] : [])));
  }

  private clear(rows: ReadonlySet<string>): void {
    if (rows.size > 0) this.pending = this.pending.filter((p) => !rows.has(p.clientId));
  }

  private mark(clientId: string, change: Partial<Pending>): void {
    this.pending = this.pending.map((p) => (p.clientId === clientId ? { ...p, ...change } : p));
  }
}

function failedBy(error: unknown): Partial<Pending> {
  return { state: 'failed', reason: inWords(error).text };
}

/** Whether asking again may help: what the node refuses by its name it refuses again. */
function mayBeRead(trouble: Trouble): boolean {
  return [0, 401, 429].includes(trouble.status) || trouble.status >= 500;
}

export function asTrouble(error: unknown): Trouble {
  return error instanceof Trouble ? error : new Trouble('internal', String(error), '', 0);
}
