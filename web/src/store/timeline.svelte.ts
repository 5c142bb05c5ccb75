// One room's history in this window: pages from the node, events as they come, and what is on its way.
import { tick } from 'svelte';
import { GET, Trouble, ok } from '../api/client';
import type { Message, NodeEvent } from '../api/types';
import { inWords } from '../ui/toasts.svelte';
import { handIn, newPending, passes, type Pending } from './outgoing';
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
  receive,
  remove,
  replace,
  stretch,
  type Stretch,
} from './window';

const PAGE = 60;
const AGAIN_MS = 2_000;

/** Where to begin to read. */
export type Anchor =
  | { kind: 'end' }
  | { kind: 'unread'; order: string }
  | { kind: 'message'; id: string }
  | { kind: 'date'; date: string };

type Query = { before?: string; after?: string; around?: string; date?: string };

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
  /** The first message that was unread when the room was opened. */
  unreadFrom = $state<string | null>(null);
  /** Where the reader was when he left. */
  place: { key: string; offset: number } | null = null;
  /** Events were missed: what is held may have a hole, until it was read again. */
  stale = false;
  /** Told of each message that comes after all others. */
  whenArrived: ((message: Message) => void) | null = null;
  private turn = 0;
  private opening: Promise<void> = Promise.resolve();
  /** The newest page is on its way, and whether it is to be shown. */
  private ahead: { shown: boolean } | null = null;
  /** What was asked for when it was opened. */
  private begun: Query = {};
  /** Requests for pages that are under way, and what was heard meanwhile: a page may be older than it. */
  private asking = 0;
  private heard: NodeEvent[] = [];

  constructor(
    readonly room: string,
    private readonly me: () => string,
    /** Of one thread instead of the whole room. */
    readonly thread: string | null = null,
  ) {}

  get atEnd(): boolean {
    return this.held.newer === null;
  }

  open(anchor: Anchor): Promise<void> {
    if (anchor.kind === 'end' && this.ahead) {
      this.ahead.shown = true;
      return this.opening;
    }
    return (this.opening = this.read(anchor));
  }

  /** The newest page, before it is known where in the room to begin: shown once that is wanted. */
  prefetch(): void {
    if (this.loaded || this.asking > 0) return;
    const ahead = { shown: false };
    this.ahead = ahead;
    this.opening = this.read({ kind: 'end' }, ahead).finally(() => {
      if (this.ahead === ahead) this.ahead = null;
    });
  }

  private async read(anchor: Anchor, how = { shown: true }): Promise<void> {
    const turn = ++this.turn;
    this.trouble = null;
    this.begun =
      anchor.kind === 'unread'
        ? { around: anchor.order }
        : anchor.kind === 'message'
          ? { around: anchor.id }
          : anchor.kind === 'date'
            ? { date: anchor.date }
            : {};
    try {
      const page = await this.page(this.begun);
      if (turn !== this.turn) return;
      this.shift = false;
      this.held = stretch(page);
      this.loaded = true;
      this.stale = false;
      this.catchUp();
      if (how.shown) this.target = anchor;
      this.settle();
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
      void this.letGo(letOldestGo, true);
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
    try {
      const page = await this.page(this.begun);
      if (turn !== this.turn) return true;
      const known = new Set(this.held.items.map((m) => m.message));
      if (known.size > 0 && page.items.length > 0 && !page.items.some((m) => known.has(m.message))) {
        this.stale = true;
        return await this.reload();
      }
      this.set(joinNewer(this.held, { items: page.items, newer: this.held.newer }));
      this.catchUp();
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
    return !this.stale || (this.trouble !== null && !passes(this.trouble));
  }

  async loadOlder(): Promise<void> {
    if (this.loadingOlder || this.held.older === null) return;
    const turn = this.turn;
    this.loadingOlder = true;
    try {
      const page = await this.page({ before: this.held.older });
      if (turn !== this.turn) return;
      this.shift = true;
      this.held = joinOlder(this.held, page);
      this.catchUp();
      void this.letGo(letNewestGo, false);
    } catch (error) {
      this.trouble = asTrouble(error);
    } finally {
      this.loadingOlder = false;
    }
  }

  async loadNewer(): Promise<void> {
    if (this.loadingNewer || this.held.newer === null) return;
    const turn = this.turn;
    this.loadingNewer = true;
    try {
      const page = await this.page({ after: this.held.newer });
      if (turn !== this.turn) return;
      const first = this.held.items[0]?.message;
      const next = joinNewer(this.held, page);
      this.shift = next.items[0]?.message !== first;
      this.held = next;
      this.catchUp();
      void this.letGo(letOldestGo, true);
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

  /** Bounds what is held, once the list has drawn what came: of one change at both ends it could not tell how far the view moved. */
  private async letGo(how: (held: Stretch) => Stretch, atStart: boolean): Promise<void> {
    if (this.held.items.length <= HELD + SLACK) return;
    await tick();
    this.shift = atStart;
    this.held = how(this.held);
  }

  /** What was heard while the page was on its way, put upon it: some of it was no part of the page yet. */
  private catchUp(): void {
    const shift = this.shift;
    for (const event of this.heard) this.apply(event);
    this.shift = shift;
  }

  private apply(event: NodeEvent): void {
    if (event.event === 'message' || event.event === 'system') {
      if (this.thread && event.thread !== this.thread) return;
      const before = this.held.items[0]?.message;
      const next = receive(this.held, event, joinNewer);
      // Late messages may go above; only what goes before all, or falls out there, moves the start.
      this.shift = before !== undefined && next.items[0]?.message !== before;
      this.held = next;
      void this.letGo(letOldestGo, true);
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
    void this.deliver(pending);
  }

  retry(clientId: string): void {
    const pending = this.pending.find((p) => p.clientId === clientId);
    if (pending) void this.deliver(pending);
  }

  discard(clientId: string): void {
    this.pending = this.pending.filter((p) => p.clientId !== clientId);
  }

  private async deliver(pending: Pending): Promise<void> {
    this.mark(pending.clientId, { state: 'sending', reason: '' });
    try {
      const message = await handIn(pending);
      if (message === null) {
        // A message of the same words that came meanwhile is what it became.
        if (this.pending.find((p) => p.clientId === pending.clientId)?.hidden) this.discard(pending.clientId);
        else this.mark(pending.clientId, { state: 'kept' });
        return;
      }
      this.mark(pending.clientId, { message });
      this.settle();
      setTimeout(() => this.discard(pending.clientId), AGAIN_MS);
    } catch (error) {
      this.mark(pending.clientId, { hidden: false });
      if (passes(error)) {
        this.mark(pending.clientId, { state: 'waiting' });
        setTimeout(() => {
          if (this.pending.some((p) => p.clientId === pending.clientId && p.state === 'waiting'))
            void this.deliver(pending);
        }, AGAIN_MS);
      } else {
        this.mark(pending.clientId, { state: 'failed', reason: inWords(error).text });
      }
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
    const held = new Set(this.held.items.map((m) => m.message));
    const left = this.pending.filter((p) => !p.message || !held.has(p.message));
    if (left.length !== this.pending.length) this.pending = left;
  }

  private mark(clientId: string, change: Partial<Pending>): void {
    this.pending = this.pending.map((p) => (p.clientId === clientId ? { ...p, ...change } : p));
  }
}

export function asTrouble(error: unknown): Trouble {
  return error instanceof Trouble ? error : new Trouble('internal', String(error), '', 0);
}
