// What can be done from everywhere, by name and by keys.
import { t } from '../i18n/i18n.svelte';
import { dialogs } from './dialogs.svelte';
import { prefs } from './prefs.svelte';
import { at, go } from './route.svelte';
import { session } from './session.svelte';

export interface Command {
  label: string;
  keys?: string;
  run: () => void;
}

export function commands(): Command[] {
  return [
    { label: t('new.group'), run: () => dialogs.open({ kind: 'create', room: 'group' }) },
    { label: t('new.channel'), run: () => dialogs.open({ kind: 'create', room: 'channel' }) },
    { label: t('join'), run: () => dialogs.open({ kind: 'join', link: '' }) },
    { label: t('contact.add'), run: () => dialogs.open({ kind: 'contact' }) },
    { label: t('card.mine'), run: () => dialogs.open({ kind: 'card' }) },
    { label: t('search'), keys: 'Ctrl F', run: () => go(at.search()) },
    { label: t('people'), run: () => go(at.people()) },
    { label: t('settings'), keys: 'Ctrl ,', run: () => go(at.settings()) },
    { label: t('settings.connection'), run: () => go(at.settings('connection')) },
    { label: t('theme.toggle'), run: toggleTheme },
    { label: t('keys'), keys: '?', run: () => dialogs.open({ kind: 'keys' }) },
    ...(session.door?.passphrase
      ? [{ label: t('lock.now'), run: () => void session.lock().catch(() => undefined) }]
      : []),
  ];
}

function toggleTheme(): void {
  const dark =
    prefs.now.theme === 'dark' || (prefs.now.theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
  prefs.set({ theme: dark ? 'light' : 'dark' });
}
