// What this window knows: a snapshot of the node, kept current by numbered events.
import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import { GET, PUT, Trouble, json, ok } from '../api/client';
import type {
  Contact,
  Draft,
  FileChanged,
  JoinAsk,
  JoinProgress,
  NodeEvent,
  OwnDevice,
  Profile,
  Room,
  RoomItem,
  Settings,
  Status,
  SyncState,
} from '../api/types';
import type { LinkState, Told } from '../link/hub';
import { Queue } from './outgoing';
import { Timeline, asTrouble } from './timeline.svelte';
import { Typing } from './typing.svelte';

const GATHER_MS = 120;
/** After so long what could not be read after a loss is asked for again. */
const AGAIN_MS = 2_000;
/** Rooms whose history is kept in memory after they were left. */
const TIMELINES = 12;

export type SyncWord = Pick<SyncState, 'have' | 'want' | 'done' | 'asking' | 'early'>;

export class Store {
  ready = $state(false);
  link = $state<LinkState>('connecting');
  status = $state.raw<Status | null>(null);
  settings = $state.raw<Settings | null>(null);
  contacts = $state.raw<readonly Contact[]>([]);
  /** What people tell of themselves, by account; also ours. */
  profiles = new SvelteMap<string, Profile>();
  rooms = new SvelteMap<string, RoomItem>();
  details = new SvelteMap<string, Room>();
  /** What disappeared while the window was open: lists that were read before leave it out. */
  expired = new SvelteSet<string>();
  /** Rooms that were asked for and that the node does not have. */
  missing = new SvelteSet<string>();
  requests = new SvelteMap<string, readonly JoinAsk[]>();
  /** Why those who ask to come into a room could not be read just now. */
  requestsTrouble = new SvelteMap<string, Trouble>();
  /** Devices of this account that came and that nobody said to know. */
  newDevices = $state.raw<readonly OwnDevice[]>([]);
  /** Joins by room: what each waits for, or that it ended. */
  joins = new SvelteMap<string, JoinProgress>();
  /** How many events told of joins: what was asked for before the last of them is older than it. */
  private joinsTold = 0;
  typing = new Typing();
  sync = new SvelteMap<string, SyncWord>();
  /** Grows when a draft changed in another window. */
  drafts = new SvelteMap<string, { text: string; replyTo: string | null; files: Draft['files']; turn: number }>();
  /** Grows with each event about pins, invites and devices, for pages that read lists of their own. */
  turn = $state(0);
  onNotification: (event: NodeEvent & { event: 'notification' }) => void = () => undefined;
  onMessage: (event: NodeEvent & { event: 'message' }) => void = () => undefined;
  private listening = new Set<(word: FileChanged) => void>();
  private timelines = new Map<string, Timeline>();
  /** What goes out into each room, from its timeline and its threads. */
  private queues = new Map<string, Queue>();
  private threads = new Map<string, Timeline>();
  /** Rooms to be read anew. */
  private toRefresh = new Set<string>();
  /** How many messages of each room are shown early. */
  private early = new Map<string, number>();
  /** Snapshots that are on their way, and the events since the first was asked for. */
  private loading = 0;
  private meanwhile: NodeEvent[] = [];
  /** Of each kind how many requests were made, and which was answered last: an older answer that comes later says nothing. */
  private turns = new Map<string, { asked: number; answered: number }>();
  /** Events were missed. All is read again once the next connection stands: what is said before that is in no event. */
  private lost = false;
  /** Things were read before the link stood. */
  private unheard = false;
  private gathering: ReturnType<typeof setTimeout> | null = null;

  get me(): string {
    return this.status?.account ?? '';
  }

  /** Our name, as others see it who gave us none. */
  get myName(): string {
    return this.profiles.get(this.me)?.name ?? this.status?.name ?? '';
  }

  /** What to call somebody now, also where a name was read earlier. */
  nameOf(person: { account: string; name: string }): string {
    return this.profiles.get(person.account)?.name ?? person.name;
  }

  /** With whom a direct chat is. */
  partner(room: string): string | undefined {
    return (
      this.contacts.find((c) => c.room === room)?.account ?? this.details.get(room)?.people.find((p) => !p.me)?.account
    );
  }

  /** Told by the link. */
  hear(told: Told): void {
    if (told.kind === 'state') {
      const was = this.link;
      this.link = told.state;
      if (told.state !== 'open') return;
      if (this.lost) void this.reload();
      else if (this.unheard) void this.again();
      else if (!this.ready || was === 'offline') void this.load().then((read) => read || this.reloadSoon());
    } else if (told.kind === 'reload') this.lost = true;
    else if (told.kind === 'event') this.apply(told.event);
  }

  private lines(): Timeline[] {
    return [...this.timelines.values(), ...this.threads.values()];
  }

  /** Begins to read before the link stands: the window is filled while that is made. */
  begin(): void {
    if (this.ready || this.unheard) return;
    this.unheard = true;
    void this.load();
  }

  /** The link stands: what was said between the first requests and now is in no event, so all of it is read once more. */
  private async again(): Promise<void> {
    this.unheard = false;
    for (const id of this.details.keys()) this.refresh(id);
    const read = await Promise.all([this.load(), ...this.lines().map((line) => line.again())]);
    if (!read.every(Boolean)) this.reloadSoon();
  }

  private reloadSoon(): void {
    // With the next connection, or soon if this one stands.
    this.lost = true;
    setTimeout(() => this.lost && this.link === 'open' && void this.reload(true), AGAIN_MS);
  }

  /** Reads the snapshot. What events said meanwhile may not be in it yet, so they say it again afterwards. Answers whether it could be
   * read, or a later one is what counts. */
  async load(): Promise<boolean> {
    const counts = this.asks('snapshot');
    const [statusCounts, settingsCount, contactsCount] = [
      this.asks('status'),
      this.asks('settings'),
      this.asks('contacts'),
    ];
    if (this.loading === 0) this.meanwhile = [];
    this.loading++;
    try {
      const [status, rooms, settings, contacts, profiles] = await Promise.all([
        ok(GET('/api/v1/status')),
        ok(GET('/api/v1/rooms')),
        ok(GET('/api/v1/settings')),
        ok(GET('/api/v1/contacts')),
        ok(GET('/api/v1/profiles')),
      ]);
      // An older one that comes late says nothing.
      if (!counts()) return true;
      if (statusCounts()) this.status = status;
      if (settingsCount()) this.settings = settings;
      if (contactsCount()) this.contacts = contacts;
      const telling = new Set(profiles.map((p) => p.account));
      for (const account of this.profiles.keys()) if (!telling.has(account)) this.profiles.delete(account);
      for (const profile of profiles) this.profiles.set(profile.account, profile);
      const there = new Set(rooms.map((r) => r.room));
      for (const id of this.rooms.keys()) if (!there.has(id)) this.rooms.delete(id);
      for (const room of rooms) this.rooms.set(room.room, room);
      for (const s of status.rooms) this.sync.set(s.room, s);
      this.tellJoins(status);
      for (const event of this.meanwhile) this.restate(event);
      if (status.warnings.some((w) => w.startsWith('device_new'))) void this.loadDevices();
      this.ready = true;
      return true;
    } catch {
      // Nobody answers, or the token is not known: the link says so.
      return false;
    } finally {
      this.loading--;
    }
  }

  /** Joins as the node has them: those that became rooms stand in the list. */
  private tellJoins(status: Status): void {
    const joins = status.joins ?? [];
    const there = new Set(joins.map((j) => j.room));
    for (const room of this.joins.keys()) if (!there.has(room)) this.joins.delete(room);
    for (const join of joins) this.joins.set(join.room, join);
  }

  async reload(rest = false): Promise<void> {
    this.lost = false;
    if (!rest) for (const line of this.lines()) line.stale = true;
    const read = await this.load();
    for (const id of this.details.keys()) this.refresh(id);
    const all = await Promise.all(this.lines().map((line) => line.reload()));
    if (!read || !all.every(Boolean)) this.reloadSoon();
  }

  /** Tells how files come; answers what ends that. */
  whenFile(listen: (word: FileChanged) => void): () => void {
    this.listening.add(listen);
    return () => this.listening.delete(listen);
  }

  timeline(room: string): Timeline {
    let found = this.timelines.get(room);
    if (found) this.timelines.delete(room);
    else found = new Timeline(room, () => this.me, null, this.queue(room));
    this.timelines.set(room, found);
    if (this.timelines.size > TIMELINES) {
      const oldest = [...this.timelines].find(([, t]) => t.pending.length === 0 && t !== found);
      if (oldest) this.timelines.delete(oldest[0]);
    }
    return found;
  }

  private queue(room: string): Queue {
    const queue = this.queues.get(room) ?? new Queue();
    this.queues.set(room, queue);
    return queue;
  }

  /** How many messages of this window the node does not have yet. */
  unsent(): number {
    return this.lines().reduce((n, line) => n + line.pending.filter((p) => !p.message && p.state !== 'kept').length, 0);
  }

  thread(room: string, root: string): Timeline {
    let found = this.threads.get(root);
    if (!found) {
      found = new Timeline(room, () => this.me, root, this.queue(room));
      // What could not be sent stays where it was written.
      for (const [id, thread] of this.threads) if (thread.pending.length === 0) this.threads.delete(id);
      this.threads.set(root, found);
    }
    return found;
  }

  /** What an event says of the list of rooms; once more changes nothing. */
  private restate(event: NodeEvent): void {
    switch (event.event) {
      case 'message':
      case 'system':
      case 'message.updated':
        this.lastMessage(event, event.event === 'message.updated');
        break;
      case 'message.expired':
        this.forgetLast(event.room, event.message);
        break;
      case 'status':
      case 'file':
        this.statusOfLast(event);
        break;
      case 'unread':
        this.merge(event.room, {
          unread: event.unread,
          mentions: event.mentions,
          first_unread: event.first_unread,
          first_unread_order: event.first_unread_order,
          attention: event.attention,
        });
        break;
      case 'profile':
        this.heardProfile(event);
        break;
      case 'draft':
        this.merge(event.room, { draft: event.text !== '' || (event.files ?? []).length > 0 });
        break;
      case 'sync':
        this.sync.set(event.room, event);
        break;
      case 'join':
        if (event.step === 'over') this.joins.delete(event.room);
        else this.joins.set(event.room, event);
        this.joinsTold++;
        break;
      case 'room':
      case 'member':
      case 'invite':
        this.refresh(event.room);
        break;
      default:
        break;
    }
  }

  apply(event: NodeEvent): void {
    if (this.loading > 0) this.meanwhile.push(event);
    this.restate(event);
    switch (event.event) {
      case 'message':
        // One that was here early and went comes again with the log.
        this.expired.delete(event.message);
        this.heardMessage(event);
        break;
      case 'system':
      case 'message.updated':
        this.tellTimelines(event.room, event);
        this.turn++;
        break;
      case 'message.expired':
        this.expired.add(event.message);
        this.tellTimelines(event.room, event);
        this.turn++;
        break;
      case 'file':
        for (const listen of this.listening) listen(event);
        this.tellTimelines(event.room, event);
        break;
      case 'status':
        this.tellTimelines(event.room, event);
        break;
      case 'sync':
        this.heardSync(event);
        break;
      case 'room':
      case 'member':
      case 'invite':
        this.turn++;
        break;
      case 'device':
        void this.loadDevices();
        this.turn++;
        break;
      case 'request':
        if (event.room) void this.loadRequests(event.room);
        else void this.loadContacts();
        this.turn++;
        break;
      case 'contact':
        void this.loadContacts();
        this.turn++;
        break;
      case 'typing':
        if (event.account !== this.me) this.typing.hear(event);
        break;
      case 'presence':
        this.heardPresence(event);
        break;
      case 'draft':
        this.drafts.set(event.room, {
          text: event.text,
          replyTo: event.reply_to ?? null,
          files: event.files ?? [],
          turn: event.seq,
        });
        break;
      case 'peer':
      case 'outbox':
        this.gatherStatus();
        break;
      case 'notification':
        this.onNotification(event);
        break;
      default:
        break;
    }
  }

  private heardMessage(event: NodeEvent & { event: 'message' }): void {
    this.tellTimelines(event.room, event);
    this.typing.stop(event.room, event.author.account);
    if (!this.rooms.has(event.room)) this.refresh(event.room);
    if (event.thread) this.countThread(event.room, event.thread, event.sent_at);
    this.onMessage(event);
  }

  private countThread(room: string, root: string, at: string): void {
    const line = this.timelines.get(room);
    const message = line?.held.items.find((m) => m.message === root);
    if (line && message)
      line.update({ ...message, replies: { count: (message.replies?.count ?? 0) + 1, last_at: at } });
  }

  private tellTimelines(room: string, event: NodeEvent): void {
    this.timelines.get(room)?.hear(event);
    for (const thread of this.threads.values()) if (thread.room === room) thread.hear(event);
  }

  private merge(room: string, change: Partial<RoomItem>): void {
    const known = this.rooms.get(room);
    if (known) this.rooms.set(room, { ...known, ...change });
    const detail = this.details.get(room);
    if (detail) this.details.set(room, { ...detail, ...change } as Room);
  }

  private lastMessage(message: NodeEvent & { event: 'message' | 'message.updated' | 'system' }, only: boolean): void {
    const known = this.rooms.get(message.room);
    if (!known || message.kind === 'system') return;
    const last = known.last_message;
    if (last?.message === message.message || (!only && (!last || message.order > last.order))) {
      this.merge(message.room, { last_message: message });
    }
  }

  /** What disappeared stands nowhere: what is the last message now the node says. */
  private forgetLast(room: string, message: string): void {
    if (this.rooms.get(room)?.last_message?.message !== message) return;
    this.merge(room, { last_message: null });
    this.refresh(room);
  }

  private statusOfLast(event: NodeEvent & { event: 'status' | 'file' }): void {
    const last = this.rooms.get(event.room)?.last_message;
    if (event.event === 'status' && last?.message === event.message) {
      this.merge(event.room, {
        last_message: { ...last, status: event.status, delivered_to: event.delivered_to, read_by: event.read_by },
      });
    }
  }

  private heardPresence(event: NodeEvent & { event: 'presence' }): void {
    for (const [id, detail] of this.details) {
      if (event.room && event.room !== id) continue;
      const people = detail.people.map((p) =>
        p.account === event.account ? { ...p, online: event.online, presence: event.presence } : p,
      );
      const online = people.filter((p) => p.online && !p.me).length;
      this.details.set(id, { ...detail, people, online });
    }
  }

  /** Somebody tells another thing of himself, or is called otherwise. */
  private heardProfile(profile: Profile): void {
    const renamed = this.profiles.get(profile.account)?.name !== profile.name;
    this.profiles.set(profile.account, profile);
    const { account, name, about, picture, last_seen } = profile;
    for (const [id, detail] of this.details) {
      if (!detail.people.some((p) => p.account === account)) continue;
      const people = detail.people.map((p) => (p.account === account ? { ...p, name, about, picture, last_seen } : p));
      this.details.set(id, { ...detail, people });
    }
    if (!renamed) return;
    void this.loadContacts();
    for (const room of this.rooms.values()) {
      if (room.kind === 'direct' && this.partner(room.room) === account) this.refresh(room.room);
    }
  }

  /** Reads rooms whose members are not known yet. */
  know(...rooms: readonly string[]): void {
    for (const room of rooms) if (!this.details.has(room)) this.refresh(room);
  }

  /** A room is another: read it anew, gathered with others. */
  refresh(room: string): void {
    this.toRefresh.add(room);
    this.gathering ??= setTimeout(() => {
      this.gathering = null;
      const rooms = [...this.toRefresh];
      this.toRefresh.clear();
      for (const id of rooms) void this.loadRoom(id);
    }, GATHER_MS);
  }

  /** More of the newest messages are here, before those between: windows that reach up to now show them. */
  private heardSync(event: NodeEvent & { event: 'sync' }): void {
    const before = this.early.get(event.room) ?? 0;
    this.early.set(event.room, event.early ?? 0);
    if ((event.early ?? 0) > before) void this.timelines.get(event.room)?.newestCame();
  }

  /** A request begins. What it answers is asked once its answer is here: whether none that was asked for later was answered before. */
  private asks(kind: string): () => boolean {
    const turn = this.turns.get(kind) ?? { asked: 0, answered: 0 };
    this.turns.set(kind, turn);
    const mine = ++turn.asked;
    return () => mine > turn.answered && (turn.answered = mine) > 0;
  }

  async loadRoom(id: string): Promise<Room | null> {
    const counts = this.asks(`room ${id}`);
    if (this.loading === 0) this.meanwhile = [];
    const from = this.meanwhile.length;
    this.loading++;
    try {
      const room = await ok(GET('/api/v1/rooms/{room}', { params: { path: { room: id } } }));
      if (!counts()) return this.details.get(id) ?? room;
      this.details.set(room.room, room);
      this.missing.delete(id);
      this.joins.delete(id);
      this.rooms.set(room.room, {
        room: room.room,
        name: room.name,
        kind: room.kind,
        role: room.role,
        gone: room.gone,
        unread: room.unread,
        mentions: room.mentions,
        first_unread: room.first_unread,
        first_unread_order: room.first_unread_order,
        attention: room.attention,
        draft: room.draft,
        members: room.members,
        last_message: room.last_message,
      });
      for (const event of this.meanwhile.slice(from)) if ('room' in event && event.room === id) this.resay(event);
      return room;
    } catch (error) {
      if (error instanceof Trouble && error.status === 404 && counts()) this.missing.add(id);
      return null;
    } finally {
      this.loading--;
    }
  }

  /** What was heard while a room was on its way: it may be older than that. */
  private resay(event: NodeEvent): void {
    if (event.event === 'presence') this.heardPresence(event);
    else if (!['room', 'member', 'invite'].includes(event.event)) this.restate(event);
  }

  async loadRequests(room: string): Promise<void> {
    const counts = this.asks(`requests ${room}`);
    try {
      const list = await ok(GET('/api/v1/rooms/{room}/requests', { params: { path: { room } } }));
      if (!counts()) return;
      this.requests.set(room, list);
      this.requestsTrouble.delete(room);
    } catch (error) {
      if (!counts()) return;
      const trouble = asTrouble(error);
      // Who may not answer them any more has nothing to see; else they stay as they were.
      if (trouble.status === 403 || trouble.status === 404) this.requests.delete(room);
      else this.requestsTrouble.set(room, trouble);
    }
  }

  async loadDevices(): Promise<void> {
    const counts = this.asks('devices');
    try {
      const devices = await ok(GET('/api/v1/devices'));
      if (counts()) this.newDevices = devices.filter((d) => d.new);
    } catch {
      // They are asked for again with the next event.
    }
  }

  async loadContacts(): Promise<void> {
    const counts = this.asks('contacts');
    try {
      const contacts = await ok(GET('/api/v1/contacts'));
      if (counts()) this.contacts = contacts;
    } catch {
      // Kept as they were; the next event asks again.
    }
  }

  /** Settings as the node answered a change of them. */
  changed(settings: Settings): void {
    this.asks('settings')();
    this.settings = settings;
  }

  private statusTimer: ReturnType<typeof setTimeout> | null = null;

  private gatherStatus(): void {
    this.statusTimer ??= setTimeout(() => {
      this.statusTimer = null;
      void this.loadStatus();
    }, GATHER_MS);
  }

  async loadStatus(): Promise<void> {
    const counts = this.asks('status');
    const told = this.joinsTold;
    try {
      const status = await ok(GET('/api/v1/status'));
      if (!counts()) return;
      this.status = status;
      // An event that came meanwhile is newer.
      if (told === this.joinsTold) this.tellJoins(status);
    } catch {
      // The next event asks again.
    }
  }

  async markRead(room: string, message: string): Promise<void> {
    try {
      await ok(PUT('/api/v1/rooms/{room}/read', { params: { path: { room } }, body: { message } }));
    } catch {
      // The next time something is read it is said again.
    }
  }

  async sayTyping(room: string, typing: boolean): Promise<void> {
    await json('POST', `/api/v1/rooms/${room}/typing`, { typing }).catch(() => undefined);
  }
}

export const store = new Store();
