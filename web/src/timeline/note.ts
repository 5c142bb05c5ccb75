// A note of the room's log in the reader's language; what is not known here is told in the node's words.
import type { Message } from '../api/types';
import { PERSON, t } from '../i18n/i18n.svelte';
import { isTimer } from '../room/timers';
import { store } from '../store/store.svelte';

/** A length of time as the settings of a room have it, others in seconds. */
function lasting(seconds: number): string {
  return isTimer(seconds) ? t(`timer.${seconds}`) : t('timer.seconds', { n: seconds });
}

/** A note, and in words if it came to nothing. */
export function noteText(m: Message): string {
  const told = said(m);
  // The node's own words say it themselves.
  return m.system && !m.system.counts && told !== m.text ? t('note.void', { note: told }) : told;
}

function said(m: Message): string {
  const note = m.system;
  if (!note) return m.text;
  type Person = { account: string; name: string } | null | undefined;
  const name = (a: Person, me: string): string =>
    a ? (a.account === store.me ? me : store.nameOf(a) || a.account.slice(0, 8)) : '';
  const call = (a: Person): string => name(a, t('you'));
  /** As in “removed by you”. */
  const from = (a: Person): string => name(a, t('you.of'));
  const by = call(note.by);
  const all = note.who ?? [];
  const who = all.map(call).join(', ') || by;
  const doing = note.by?.account === store.me ? PERSON.you : PERSON.other;
  const one = (all[0] ?? note.by)?.account === store.me ? PERSON.you : PERSON.other;
  /** Of whom the sentence speaks: who did it, or to whom it was done. */
  const [act, met] = [
    { by, person: doing },
    { who, person: all.length > 1 ? PERSON.several : one },
  ];
  switch (note.what) {
    case 'created':
      return t('note.created', act);
    case 'joined':
      return note.inviter ? t('note.joined.by', { ...met, by: from(note.inviter) }) : t('note.joined', met);
    case 'left':
      return t('note.left', met);
    case 'removed':
      return t(note.ban ? 'note.banned' : 'note.removed', { ...met, by: from(note.by) });
    case 'unbanned':
      return t('note.unbanned', { ...act, who: all.map(from).join(', ') });
    case 'role':
      return note.role ? t('note.role', { ...met, by: from(note.by), role: t(`role.${note.role}`) }) : m.text;
    case 'may_invite':
      return t('note.may_invite', { ...act, who: all.map(from).join(', ') });
    case 'may_not_invite':
      return t('note.may_not_invite', { ...act, who: all.map(from).join(', ') });
    case 'invites_ended':
      return t('note.invites_ended', { who: all.map(from).join(', '), n: note.invites ?? 1 });
    case 'invited':
      return t('note.invited', act);
    case 'invite_revoked':
      return t('note.invite_revoked', act);
    case 'declined':
      return t('note.declined', { ...act, who: all.map(from).join(', ') });
    case 'keys':
      return note.counts ? t('note.keys', act) : t('note.keys.unused', act);
    case 'settings': {
      const s = note.settings;
      if (s?.name) return t('note.name', { ...act, name: s.name });
      if (s?.about !== undefined && s.about !== null) return t('note.about', act);
      if (s?.history) return t(s.history === 'shared' ? 'note.history.shared' : 'note.history.from-join', act);
      if (s?.ttl === 0) return t('note.ttl.off', act);
      if (s?.ttl) return t('note.ttl', { ...act, time: lasting(s.ttl) });
      if (s?.mailboxes) return t('note.mailboxes', { ...act, n: s.mailboxes.length });
      return m.text;
    }
    default:
      return m.text;
  }
}
