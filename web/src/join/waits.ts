// Joins that are under way or ended without the room, in words.
import { Trouble } from '../api/client';
import type { JoinAnswer, JoinProgress } from '../api/types';
import { t } from '../i18n/i18n.svelte';
import { inWords } from '../ui/toasts.svelte';

/** What a join waits for; empty for a step that this page does not know. */
export function waitsFor(join: Pick<JoinAnswer | JoinProgress, 'step' | 'members'>): string {
  switch (join.step) {
    case 'looking':
      return t('join.pending.looking');
    case 'approval':
      return t('join.pending.approval', { n: Math.max(1, join.members ?? 0) });
    case 'relay':
      return t('join.pending.relay');
    case 'fetching':
      return t('join.pending.fetching');
    case 'ended':
      return t('join.ended');
    default:
      return '';
  }
}

/** Why it ended, and what to do. */
export function whyEnded(join: JoinProgress): { text: string; hint: string } | null {
  const { problem } = join;
  if (!problem) return null;
  const { code, message, hint, reason_code } = problem;
  return inWords(new Trouble(code, message, hint ?? '', NOT_ZERO, reason_code ?? ''));
}

/** A status that does not say that the node is away. */
const NOT_ZERO = 409;
