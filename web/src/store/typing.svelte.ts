// Who is typing where.
import { SvelteMap } from 'svelte/reactivity';
import type { NodeEvent } from '../api/types';

export interface Typist {
  account: string;
  name: string;
}

/** Somebody who is not heard of again is not typing any more. */
const TYPING_MS = 8_000;

export class Typing {
  private rooms = new SvelteMap<string, readonly Typist[]>();
  private timers = new Map<string, ReturnType<typeof setTimeout>>();

  in(room: string): readonly Typist[] {
    return this.rooms.get(room) ?? [];
  }

  hear({ room, account, name, typing }: NodeEvent & { event: 'typing' }): void {
    if (!typing) return this.stop(room, account);
    const key = `${room} ${account}`;
    clearTimeout(this.timers.get(key));
    this.timers.set(
      key,
      setTimeout(() => this.stop(room, account), TYPING_MS),
    );
    const others = this.in(room).filter((t) => t.account !== account);
    this.rooms.set(room, [...others, { account, name: name ?? '' }]);
  }

  stop(room: string, account: string): void {
    clearTimeout(this.timers.get(`${room} ${account}`));
    this.timers.delete(`${room} ${account}`);
    const now = this.in(room);
    if (now.some((t) => t.account === account))
      this.rooms.set(
        room,
        now.filter((t) => t.account !== account),
      );
  }
}
