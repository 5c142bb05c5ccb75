// Which rooms the list shows, and in which order.
import type { RoomItem } from '../api/types';

export type Filter = 'all' | 'unread' | 'archived';

function newest(room: RoomItem): string {
  return room.last_message?.sent_at ?? '';
}

/** Pinned first, then what was written last. */
export function ordered(rooms: Iterable<RoomItem>, filter: Filter, query: string): RoomItem[] {
  const q = query.trim().toLowerCase();
  return [...rooms]
    .filter((r) => r.role !== 'left' || filter === 'archived')
    .filter((r) => (filter === 'archived' ? r.attention?.archived || r.role === 'left' : !r.attention?.archived))
    .filter((r) => filter !== 'unread' || r.unread > 0)
    .filter((r) => !q || r.name.toLowerCase().includes(q))
    .sort(
      (a, b) =>
        Number(b.attention?.pinned ?? false) - Number(a.attention?.pinned ?? false) ||
        newest(b).localeCompare(newest(a)) ||
        a.name.localeCompare(b.name) ||
        a.room.localeCompare(b.room),
    );
}

/** What waits to be read and may call, over all rooms: for the title of the window. */
export function waiting(rooms: Iterable<RoomItem>): number {
  let sum = 0;
  for (const r of rooms) {
    if (r.attention?.muted || r.attention?.archived) continue;
    const level = r.attention?.level ?? 'all';
    sum += level === 'all' ? r.unread : level === 'mentions' ? (r.mentions ?? 0) : 0;
  }
  return sum;
}
