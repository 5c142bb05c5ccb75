// Short words at the foot of the window: what was done, what went wrong.
import { Trouble } from '../api/client';
import { known, t, words } from '../i18n/i18n.svelte';

export interface Toast {
  id: number;
  text: string;
  hint: string;
  bad: boolean;
  act?: { label: string; run: () => void };
}

const SHOWN_MS = 4_000;
const BAD_MS = 9_000;

class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  private next = 1;

  say(text: string, act?: Toast['act']): void {
    this.add({ id: this.next++, text, hint: '', bad: false, ...(act && { act }) }, SHOWN_MS);
  }

  fail(error: unknown): void {
    const { text, hint } = inWords(error);
    this.add({ id: this.next++, text, hint, bad: true }, BAD_MS);
  }

  drop(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  private add(toast: Toast, ms: number): void {
    this.list = [...this.list.slice(-2), toast];
    setTimeout(() => this.drop(toast.id), ms);
  }
}

export const toasts = new Toasts();

/** What the node says as a sentence. What is typed stays as it is typed. */
export function sentence(text: string): string {
  return /^parlor\b/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

/** Codes that say little: behind them the node's own words stand, in whatever language. */
const VAGUE = new Set(
  'not_permitted conflict bad_request not_found already_exists too_long join_refused not_yet busy internal unreachable'.split(
    ' ',
  ),
);

function hintOf(code: string): string {
  if (['timed_out', 'rate_limited'].includes(code)) return t('problem.do.soon');
  if (['banned', 'invite_expired', 'invite_exhausted', 'invite_revoked'].includes(code)) return t('problem.do.inviter');
  return code === 'file_not_here' ? t('problem.do.fetch') : '';
}

/** What went wrong as two sentences: what, and what to do. */
export function inWords(error: unknown): { text: string; hint: string } {
  if (!(error instanceof Trouble)) return { text: t('trouble.unknown'), hint: '' };
  if (error.status === 0) return { text: t('trouble.unreachable'), hint: t('trouble.unreachable.hint') };
  const key = `problem.${error.code}`;
  // The node says more than its codes do, in English.
  if (words.language !== 'en' && known(key)) {
    const [why, todo] = [`why.${error.reason}`, `why.${error.reason}.do`];
    if (known(why)) return { text: t(why), hint: known(todo) ? t(todo) : hintOf(error.code) };
    const own = [sentence(error.detail), sentence(error.hint)].filter(Boolean).join('. ');
    return { text: t(key), hint: VAGUE.has(error.code) ? own : hintOf(error.code) };
  }
  return { text: sentence(error.detail) || (known(key) ? t(key) : t('trouble.unknown')), hint: sentence(error.hint) };
}

/** Runs what a button does; what goes wrong is said. */
export async function attempt<T>(what: () => Promise<T>): Promise<T | undefined> {
  try {
    return await what();
  } catch (error) {
    toasts.fail(error);
    return undefined;
  }
}
