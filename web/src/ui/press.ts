// What a press of the mouse calls.

/** Opens a menu when the button that called it is up again: some browsers take its end for a press beside the menu, and close it. */
export function whenUp(event: MouseEvent, open: () => void): void {
  event.preventDefault();
  if (event.buttons === 0) {
    open();
    return;
  }
  const ended = new AbortController();
  const up = (): void => {
    ended.abort();
    // After what the browser makes of it.
    setTimeout(open);
  };
  for (const end of ['pointerup', 'pointercancel']) addEventListener(end, up, { capture: true, signal: ended.signal });
}
