// The one connection of all windows to the node's events: takes a ticket, follows, comes back after a break where it stopped.
// Without the DOM, so that it runs in a SharedWorker and in tests.
import type { NodeEvent } from '../api/types';

export type LinkState = 'connecting' | 'open' | 'offline';

/** What a window is told. */
export type Told =
  | { kind: 'state'; state: LinkState }
  | { kind: 'event'; event: NodeEvent }
  /** What was known is no longer enough: read the snapshot again. */
  | { kind: 'reload' }
  | { kind: 'unauthorized' };

export interface World {
  /** A ticket for one WebSocket; `null` if the node refuses the token. Throws when nobody answers. */
  ticket(): Promise<string | null>;
  socket(ticket: string, since: number): WebSocket;
  later(ms: number, call: () => void): () => void;
}

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 8_000;

export class Hub {
  state: LinkState = 'connecting';
  private last = 0;
  private pause = FIRST_PAUSE_MS;
  private socket: WebSocket | null = null;
  private cancel: (() => void) | null = null;
  private asking = false;
  /** Grows with each token: what was answered to an older one says nothing. */
  private turn = 0;
  private stopped = false;
  private resting = false;
  /** The node did not know the token. */
  refused = false;

  constructor(
    private readonly world: World,
    private readonly tell: (told: Told) => void,
  ) {}

  /** Connects, and stays so. */
  async connect(): Promise<void> {
    this.cancel?.();
    this.cancel = null;
    if (this.socket || this.asking || this.stopped) return;
    const turn = this.turn;
    this.asking = true;
    const ticket = await this.world.ticket().catch(() => undefined);
    if (turn !== this.turn) return;
    this.asking = false;
    if (ticket === undefined) {
      this.retry();
      return;
    }
    if (ticket === null) {
      this.stopped = this.refused = true;
      this.tell({ kind: 'unauthorized' });
      return;
    }
    if (this.socket || this.stopped) return;
    this.follow(this.world.socket(ticket, this.last));
  }

  /** The network or a window came back: do not wait any longer. */
  hurry(): void {
    this.resting = false;
    this.pause = FIRST_PAUSE_MS;
    void this.connect();
  }

  /** No window listens: what is there goes on, and what ended is not asked for again. The node does not take that for use of the page. */
  rest(): void {
    this.resting = true;
    if (!this.socket) this.state = 'connecting';
    this.cancel?.();
    this.cancel = null;
  }

  /** With another token than before. */
  restart(): void {
    this.turn++;
    this.asking = this.stopped = this.refused = this.resting = false;
    this.pause = FIRST_PAUSE_MS;
    void this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.cancel?.();
    this.socket?.close();
  }

  private follow(socket: WebSocket): void {
    this.socket = socket;
    socket.onopen = () => {
      this.pause = FIRST_PAUSE_MS;
      this.become('open');
    };
    socket.onmessage = ({ data }) => this.take(JSON.parse(String(data)) as NodeEvent);
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.retry();
    };
  }

  private take(event: NodeEvent): void {
    if (event.event === 'error' && (event.code as string) === 'fell_behind') {
      // The last event of this connection. The next one begins now, and windows read everything again.
      this.last = 0;
      this.pause = 0;
      this.tell({ kind: 'reload' });
      return;
    }
    if (event.seq <= this.last) return;
    this.last = event.seq;
    this.tell({ kind: 'event', event });
  }

  private retry(): void {
    if (this.stopped) return;
    this.become(this.resting ? 'connecting' : 'offline');
    if (this.resting) return;
    this.cancel = this.world.later(this.pause, () => void this.connect());
    this.pause = Math.min(Math.max(this.pause, FIRST_PAUSE_MS) * 2, LONGEST_PAUSE_MS);
  }

  private become(state: LinkState): void {
    if (state === this.state) return;
    this.state = state;
    this.tell({ kind: 'state', state });
  }
}
