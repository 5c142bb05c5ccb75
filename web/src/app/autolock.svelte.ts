// Locks the sessions when nobody touched the window for a while, if the account has a passphrase.
import { session } from './session.svelte';

export type Minutes = '0' | '5' | '15' | '60';
const KEY = 'parlor.autolock';
const MINUTE_MS = 60_000;

class AutoLock {
  minutes = $state<Minutes>((localStorage.getItem(KEY) as Minutes | null) ?? '0');
  private touched = Date.now();

  set(minutes: Minutes): void {
    this.minutes = minutes;
    localStorage.setItem(KEY, minutes);
  }

  /** Begins to watch; answers how to stop. */
  watch(): () => void {
    const touch = (): void => {
      this.touched = Date.now();
    };
    for (const kind of ['pointerdown', 'keydown', 'wheel']) addEventListener(kind, touch, { passive: true });
    const timer = setInterval(() => {
      const limit = Number(this.minutes) * MINUTE_MS;
      if (limit > 0 && session.state === 'in' && session.door?.passphrase && Date.now() - this.touched > limit) {
        void session.lock().catch(() => undefined);
      }
    }, MINUTE_MS / 4);
    return () => {
      clearInterval(timer);
      for (const kind of ['pointerdown', 'keydown', 'wheel']) removeEventListener(kind, touch);
    };
  }
}

export const autoLock = new AutoLock();
