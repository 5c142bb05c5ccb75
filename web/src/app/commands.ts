// What can be done from everywhere, by name and by keys.
import Activity from '@lucide/svelte/icons/activity';
import Download from '@lucide/svelte/icons/download';
import Info from '@lucide/svelte/icons/info';
import Keyboard from '@lucide/svelte/icons/keyboard';
import Link from '@lucide/svelte/icons/link';
import Lock from '@lucide/svelte/icons/lock';
import Megaphone from '@lucide/svelte/icons/megaphone';
import Paperclip from '@lucide/svelte/icons/paperclip';
import QrCode from '@lucide/svelte/icons/qr-code';
import Search from '@lucide/svelte/icons/search';
import Settings from '@lucide/svelte/icons/settings';
import SunMoon from '@lucide/svelte/icons/sun-moon';
import UserPlus from '@lucide/svelte/icons/user-plus';
import Users from '@lucide/svelte/icons/users';
import UsersRound from '@lucide/svelte/icons/users-round';
import type { Component } from 'svelte';
import { t } from '../i18n/i18n.svelte';
import { dialogs } from './dialogs.svelte';
import { prefs } from './prefs.svelte';
import { store } from '../store/store.svelte';
import { atLeast } from '../timeline/actions';
import { at, go, here } from './route.svelte';
import { session } from './session.svelte';

export interface Command {
  label: string;
  icon: Component<{ size?: number }>;
  keys?: string;
  run: () => void;
}

/** Of the room that is open. */
function ofRoom(): Command[] {
  const route = here.route;
  if (route.at !== 'room' || !store.rooms.has(route.room)) return [];
  const { room } = route;
  const detail = store.details.get(room);
  const invites = detail && detail.kind !== 'direct' && atLeast(detail.role, 'moderator');
  return [
    { label: t('room.page'), icon: Info, run: () => go(at.info(room)) },
    { label: t('files'), icon: Paperclip, run: () => go(at.info(room, 'files')) },
    { label: t('search.room'), icon: Search, keys: 'Ctrl F', run: () => go(at.search(`room:${room.slice(0, 12)} `)) },
    ...(invites ? [{ label: t('invite'), icon: UserPlus, run: () => dialogs.open({ kind: 'invite', room }) }] : []),
    { label: t('export'), icon: Download, run: () => dialogs.open({ kind: 'export', room }) },
  ];
}

export function commands(): Command[] {
  return [
    ...ofRoom(),
    { label: t('new.group'), icon: UsersRound, run: () => dialogs.open({ kind: 'create', room: 'group' }) },
    { label: t('new.channel'), icon: Megaphone, run: () => dialogs.open({ kind: 'create', room: 'channel' }) },
    { label: t('join'), icon: Link, run: () => dialogs.open({ kind: 'join', link: '' }) },
    { label: t('contact.add'), icon: UserPlus, run: () => dialogs.open({ kind: 'contact' }) },
    { label: t('card.mine'), icon: QrCode, run: () => dialogs.open({ kind: 'card' }) },
    { label: t('search'), icon: Search, keys: 'Ctrl F', run: () => go(at.search()) },
    { label: t('people'), icon: Users, run: () => go(at.people()) },
    { label: t('settings'), icon: Settings, keys: 'Ctrl ,', run: () => go(at.settings()) },
    { label: t('settings.connection'), icon: Activity, run: () => go(at.settings('connection')) },
    { label: t('theme.toggle'), icon: SunMoon, run: toggleTheme },
    { label: t('keys'), icon: Keyboard, keys: '?', run: () => dialogs.open({ kind: 'keys' }) },
    ...(session.door?.passphrase
      ? [{ label: t('lock.now'), icon: Lock, run: () => void session.lock().catch(() => undefined) }]
      : []),
  ];
}

function toggleTheme(): void {
  const dark =
    prefs.now.theme === 'dark' || (prefs.now.theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
  prefs.set({ theme: dark ? 'light' : 'dark' });
}
