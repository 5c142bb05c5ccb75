// The address of a film or sound while it is played. A link of the node is over after a while, which is no fault of the file.
import { tick } from 'svelte';
import { signed } from '../store/media';
import { attempt } from '../ui/toasts.svelte';

export class Playing {
  url = $state('');
  /** It cannot be played: it is a file like others. */
  broken = $state(false);

  /** Asks for the address once. */
  async ask(path: string): Promise<boolean> {
    if (!this.url) this.url = (await attempt(() => signed(path))) ?? '';
    return this.url !== '';
  }

  /** It went wrong. With another link than that it goes on where it was; if there is none, or it fails too, nothing helps. */
  async again(path: string, at: EventTarget): Promise<void> {
    if (!(at instanceof HTMLMediaElement)) return;
    const [place, goes] = [at.currentTime, !at.paused];
    const fresh = await signed(path).catch(() => this.url);
    if (fresh === this.url) {
      this.broken = true;
      return;
    }
    this.url = fresh;
    await tick();
    at.currentTime = place;
    if (goes) await at.play().catch(() => undefined);
  }
}
