// Keys within a message: it is one stop of Tab, and its parts are reached from there.

/** What of a message can be pressed or moved. */
const PARTS = 'button, a, input[type=range]';

function partsOf(article: HTMLElement): HTMLElement[] {
  // Some are not drawn where they are of no use.
  return [...article.querySelectorAll<HTMLElement>(PARTS)].filter((part) => part.checkVisibility?.() ?? true);
}

/** Moves the focus into a message, among its parts and out of them. Answers whether the key was for that. */
export function moveWithin(event: KeyboardEvent, article: HTMLElement): boolean {
  const from = event.target as HTMLElement;
  const to = from === article ? inside(event.key, article) : among(event.key, article, from);
  if (to === null) return false;
  event.preventDefault();
  // Whoever leaves a part leaves nothing else.
  if (event.key === 'Escape') event.stopPropagation();
  to?.focus();
  return true;
}

function inside(key: string, article: HTMLElement): HTMLElement | undefined | null {
  return key === 'Enter' ? partsOf(article)[0] : null;
}

function among(key: string, article: HTMLElement, from: HTMLElement): HTMLElement | undefined | null {
  const range = from instanceof HTMLInputElement;
  if (key === 'Escape') return article;
  // In a sound the arrows move its place; up and down leave it.
  if (range) return key === 'ArrowUp' || key === 'ArrowDown' ? partsOf(article)[0] : null;
  if (key !== 'ArrowRight' && key !== 'ArrowLeft') return null;
  const all = partsOf(article);
  return all[(all.indexOf(from) + (key === 'ArrowRight' ? 1 : all.length - 1)) % all.length];
}
