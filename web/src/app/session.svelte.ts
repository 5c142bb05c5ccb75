// How this window got in: a one-time code in the address, or the session of another window of this browser.
import { Trouble, json, raw, setToken, whenLocked, whenUnauthorized } from '../api/client';

/** `out`: no session; `new`: no account yet; `locked`: the passphrase is wanted. */
export type SessionState = 'starting' | 'out' | 'new' | 'locked' | 'in';

/** What the door of the node says: `GET /web`. */
export interface Door {
  state: 'new' | 'locked' | 'ready';
  passphrase: boolean;
  session?: string;
  suggested_name?: string;
  version?: string;
}

const KEY = 'parlor.session';
const CHANNEL = 'parlor-session';
const ASK_MS = 400;
const AGAIN_MS = 1_000;

class Session {
  state = $state<SessionState>('starting');
  token = $state('');
  door = $state.raw<Door | null>(null);
  private channel: BroadcastChannel | null =
    typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(CHANNEL);

  constructor() {
    whenUnauthorized(() => this.end());
    whenLocked(() => this.hide());
  }

  async begin(): Promise<void> {
    this.channel?.addEventListener('message', ({ data }: MessageEvent<{ kind: string; token?: string }>) => {
      if (data.kind === 'ask' && this.token) this.channel?.postMessage({ kind: 'answer', token: this.token });
      // Sessions end with the node. When another window has a new one, this one goes on with it, and sends what waited.
      else if (data.kind === 'answer' && data.token && this.state === 'out') void this.use(data.token);
      else if (data.kind === 'locked') this.hide();
      else if (data.kind === 'unlocked' && this.state === 'locked') void this.look();
    });
    const token = (await this.fromAddress()) || sessionStorage.getItem(KEY) || (await this.fromWindow());
    if (token) {
      await this.use(token);
      this.channel?.postMessage({ kind: 'answer', token });
    } else this.state = 'out';
  }

  async use(token: string): Promise<void> {
    sessionStorage.setItem(KEY, token);
    this.token = token;
    setToken(token);
    await this.look();
  }

  /** Asks what the node waits for. */
  async look(): Promise<void> {
    try {
      this.enter(await json<Door>('GET', '/api/v1/web'));
    } catch (error) {
      if (error instanceof Trouble && error.status === 0) setTimeout(() => void this.look(), AGAIN_MS);
      else if (this.token) this.end();
    }
  }

  /** What the node answered to being set up, unlocked or asked. */
  enter(door: Door): void {
    if (this.state === 'locked' && door.state === 'ready') this.channel?.postMessage({ kind: 'unlocked' });
    this.door = { ...this.door, ...door };
    this.state = door.state === 'ready' ? 'in' : door.state;
  }

  async lock(): Promise<void> {
    await raw('/api/v1/web/lock', { method: 'POST' });
    this.state = 'locked';
    // One lock for all windows: none goes on showing what is sealed.
    this.channel?.postMessage({ kind: 'locked' });
  }

  /** Somebody locked the page. */
  private hide(): void {
    if (this.state === 'in') this.state = 'locked';
  }

  /** The connection ended: locked by another browser or the command line, or the node is away. */
  async check(): Promise<void> {
    const door = await json<Door>('GET', '/api/v1/web').catch(() => null);
    if (door?.state === 'locked' && this.state === 'in') this.enter(door);
  }

  end(): void {
    sessionStorage.removeItem(KEY);
    this.token = '';
    setToken('');
    if (this.state === 'out') return;
    this.state = 'out';
    // Another window may have a new session already: this one goes on with it.
    this.channel?.postMessage({ kind: 'ask' });
  }

  /** `#code=` is traded for a token and taken out of the address at once. */
  private async fromAddress(): Promise<string> {
    const params = new URLSearchParams(location.hash.replace(/^#/, ''));
    const code = params.get('code');
    const token = import.meta.env.DEV ? params.get('token') : null;
    if (!code && !token) return '';
    history.replaceState(null, '', location.pathname);
    if (token) return token;
    try {
      return (await json<{ token: string }>('POST', '/api/v1/web/session', { code })).token;
    } catch {
      return '';
    }
  }

  /** Session storage is this window's own. Another window of the same origin may hand over its token. */
  private fromWindow(): Promise<string> {
    const channel = this.channel;
    if (!channel) return Promise.resolve('');
    return new Promise((resolve) => {
      const done = (token: string): void => {
        clearTimeout(timer);
        channel.removeEventListener('message', hear);
        resolve(token);
      };
      const hear = ({ data }: MessageEvent<{ kind: string; token?: string }>): void => {
        if (data.kind === 'answer' && data.token) done(data.token);
      };
      const timer = setTimeout(() => done(''), ASK_MS);
      channel.addEventListener('message', hear);
      channel.postMessage({ kind: 'ask' });
    });
  }
}

export const session = new Session();
