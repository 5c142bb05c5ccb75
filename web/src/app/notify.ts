// What the node wants the user to know, as this browser shows it; only if he asked for it and does not look already.
import { at, go, here } from './route.svelte';
import { prefs } from './prefs.svelte';
import type { NodeEvent } from '../api/types';

export function show(event: NodeEvent & { event: 'notification' }): void {
  const looking = document.visibilityState === 'visible' && document.hasFocus();
  const same = here.route.at === 'room' && here.route.room === event.room;
  if (looking && (same || !event.room)) return;
  if (prefs.now.sounds) beep();
  if (!prefs.now.notify || typeof Notification === 'undefined' || Notification.permission !== 'granted') return;
  // Of several windows one notification: the same tag replaces.
  const shown = new Notification(event.title, { body: event.body, tag: event.room ?? 'parlor', icon: '/icon.svg' });
  shown.onclick = () => {
    focus();
    if (event.room) go(event.message ? at.message(event.room, event.message) : at.room(event.room));
    shown.close();
  };
}

function beep(): void {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const gain = context.createGain();
  const LONG_S = 0.22;
  tone.frequency.setValueAtTime(660, context.currentTime);
  tone.frequency.exponentialRampToValueAtTime(880, context.currentTime + LONG_S / 2);
  gain.gain.setValueAtTime(0.06, context.currentTime);
  gain.gain.exponentialRampToValueAtTime(0.0001, context.currentTime + LONG_S);
  tone.connect(gain).connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + LONG_S);
  tone.onended = () => void context.close();
}
