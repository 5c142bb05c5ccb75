// What a user may do with a room in his list: nobody else learns of it.
import Archive from '@lucide/svelte/icons/archive';
import Bell from '@lucide/svelte/icons/bell';
import BellOff from '@lucide/svelte/icons/bell-off';
import CheckCheck from '@lucide/svelte/icons/check-check';
import Info from '@lucide/svelte/icons/info';
import Pin from '@lucide/svelte/icons/pin';
import { PATCH, PUT, ok } from '../api/client';
import type { RoomItem, UpdateAttention } from '../api/types';
import { at, go } from '../app/route.svelte';
import { t } from '../i18n/i18n.svelte';
import type { Item } from '../ui/Menu.svelte';
import { attempt } from '../ui/toasts.svelte';

export async function attend(room: string, change: UpdateAttention): Promise<void> {
  await attempt(() => ok(PATCH('/api/v1/rooms/{room}/attention', { params: { path: { room } }, body: change })));
}

export function attendItems(room: RoomItem): Item[] {
  const a = room.attention;
  return [
    ...(room.unread > 0
      ? [
          {
            label: t('room.read'),
            icon: CheckCheck,
            run: () =>
              void attempt(() =>
                ok(PUT('/api/v1/rooms/{room}/read', { params: { path: { room: room.room } }, body: {} })),
              ),
          },
        ]
      : []),
    {
      label: a?.pinned ? t('room.unpin') : t('room.pin'),
      icon: Pin,
      run: () => void attend(room.room, { pinned: !a?.pinned }),
    },
    ...(a?.muted
      ? [{ label: t('room.unmute'), icon: Bell, run: () => void attend(room.room, { muted: false }) }]
      : [
          {
            label: t('room.mute.8h'),
            icon: BellOff,
            run: () => void attend(room.room, { muted: true, mute_for: 8 * 3600 }),
          },
          { label: t('room.mute'), icon: BellOff, run: () => void attend(room.room, { muted: true }) },
        ]),
    {
      label: a?.archived ? t('room.unarchive') : t('room.archive'),
      icon: Archive,
      run: () => void attend(room.room, { archived: !a?.archived }),
    },
    { label: t('room.page'), icon: Info, apart: true, run: () => go(at.info(room.room)) },
  ];
}
