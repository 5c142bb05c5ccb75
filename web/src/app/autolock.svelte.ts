// Locks the sessions when nobody touched the window for a while, if the account has a passphrase.
import { session } from './session.svelte';

export type Minutes = '0' | '5' | '15' | '60';
const KEY = 'parlor.autolock';
const TOUCHED = 'parlor.touched';
const MINUTE_MS = 60_000;
/** So often other windows are told. */
const TELL_MS = 5_000;

class AutoLock {
  minutes = $state<Minutes>((localStorage.getItem(KEY) as Minutes | null) ?? '0');
  private touched = Date.now();
  private told = 0;

  set(minutes: Minutes): void {
    this.minutes = minutes;
    localStorage.setItem(KEY, minutes);
  }

  /** When any window of this browser was touched: one that lies behind locks nobody out of the one in front. */
  private last(now: number): number {
    // A clock that was ahead and was put right: nobody touched anything in what is to come.
    this.touched = Math.min(this.touched, now);
    const told = Number(localStorage.getItem(TOUCHED) ?? 0);
    return told > now ? this.touched : Math.max(this.touched, told);
  }

  /** Somebody is there: by hand, or by voice. */
  touch(): void {
    this.touched = Date.now();
    if (Math.abs(this.touched - this.told) < TELL_MS) return;
    this.told = this.touched;
    localStorage.setItem(TOUCHED, String(this.touched));
  }

  /** Begins to watch; answers how to stop. */
  watch(): () => void {
    const touch = (): void => this.touch();
    for (const kind of ['pointerdown', 'keydown', 'wheel']) addEventListener(kind, touch, { passive: true });
    const heard = ({ key, newValue }: StorageEvent): void => {
      if (key === KEY) this.minutes = (newValue as Minutes | null) ?? '0';
    };
    addEventListener('storage', heard);
    const timer = setInterval(() => {
      const limit = Number(this.minutes) * MINUTE_MS;
      const now = Date.now();
      if (limit > 0 && session.state === 'in' && session.door?.passphrase && now - this.last(now) > limit) {
        void session.lock().catch(() => undefined);
      }
    }, MINUTE_MS / 4);
    return () => {
      clearInterval(timer);
      removeEventListener('storage', heard);
      for (const kind of ['pointerdown', 'keydown', 'wheel']) removeEventListener(kind, touch);
    };
  }
}

export const autoLock = new AutoLock();
