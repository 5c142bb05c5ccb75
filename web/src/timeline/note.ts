// A note of the room's log in the reader's language; what is not known here is told in the node's words.
import type { Message } from '../api/types';
import { t } from '../i18n/i18n.svelte';
import { store } from '../store/store.svelte';

export function noteText(m: Message): string {
  const note = m.system;
  if (!note) return m.text;
  type Person = { account: string; name: string } | null | undefined;
  const name = (a: Person, me: string): string =>
    a ? (a.account === store.me ? me : a.name || a.account.slice(0, 8)) : '';
  const call = (a: Person): string => name(a, t('you'));
  /** As in “removed by you”. */
  const from = (a: Person): string => name(a, t('you.of'));
  const by = call(note.by);
  const who = (note.who ?? []).map(call).join(', ');
  switch (note.what) {
    case 'created':
      return t('note.created', { by });
    case 'joined':
      return note.inviter
        ? t('note.joined.by', { who: who || by, by: from(note.inviter) })
        : t('note.joined', { who: who || by });
    case 'left':
      return t('note.left', { who: who || by });
    case 'removed':
      return t(note.ban ? 'note.banned' : 'note.removed', { by: from(note.by), who });
    case 'unbanned':
      return t('note.unbanned', { by, who });
    case 'role':
      return note.role ? t('note.role', { by: from(note.by), who, role: t(`role.${note.role}`) }) : m.text;
    case 'invited':
      return t('note.invited', { by });
    case 'invite_revoked':
      return t('note.invite_revoked', { by });
    case 'keys':
      return t('note.keys', { by });
    case 'settings': {
      const s = note.settings;
      if (s?.name) return t('note.name', { by, name: s.name });
      if (s?.about !== undefined && s.about !== null) return t('note.about', { by });
      if (s?.history) return t(s.history === 'shared' ? 'note.history.shared' : 'note.history.from-join', { by });
      return m.text;
    }
    default:
      return m.text;
  }
}
