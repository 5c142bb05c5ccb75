// Which picture is shown large.
import type { Message } from '../api/types';

class Lightbox {
  shown = $state.raw<{ message: Message; index: number } | null>(null);
  open(message: Message, index: number): void {
    this.shown = { message, index };
  }
  close(): void {
    this.shown = null;
  }
  /** A message is no more. */
  forget(message: string): void {
    if (this.shown?.message.message === message) this.close();
  }
}

export const lightbox = new Lightbox();
