// Whether somebody is there, or when he was, in words.
import type { Member } from '../api/types';
import { t, when } from '../i18n/i18n.svelte';

export function presenceWords(person: Pick<Member, 'presence' | 'last_seen'>): string {
  const presence = person.presence ?? 'offline';
  if (presence === 'offline' && person.last_seen) return t('seen.at', { at: when(person.last_seen) });
  return t(`presence.${presence}`);
}
