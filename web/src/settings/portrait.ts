// The square of a picture that becomes the own one: where it lies, and drawn as the node takes it.

/** The middle of the square, as parts of width and height, and how much smaller it is than the largest one. */
export interface Place {
  x: number;
  y: number;
  zoom: number;
}

/** As large as the node's own picture of it: larger would be made small there. */
const SIDE = 256;
/** The square has so many pixels at least, so that something is to be seen. */
const FEWEST = 48;
const MIDDLE = 0.5;

interface Size {
  width: number;
  height: number;
}

/** How far a picture can be made larger. */
export function zoomMax({ width, height }: Size): number {
  return Math.max(1, Math.min(8, Math.min(width, height) / FEWEST));
}

/** The square in pixels of the picture. */
export function square({ width, height }: Size, place: Place): { left: number; top: number; side: number } {
  const side = Math.min(width, height) / place.zoom;
  return { left: place.x * width - side / 2, top: place.y * height - side / 2, side };
}

/** The nearest place at which the square lies in the picture. */
export function within(size: Size, { x, y, zoom }: Place): Place {
  const near = Math.min(Math.max(zoom, 1), zoomMax(size));
  const half = Math.min(size.width, size.height) / near / 2;
  const held = (at: number, all: number): number => Math.min(Math.max(at, half / all), 1 - half / all);
  return { x: held(x, size.width), y: held(y, size.height), zoom: near };
}

/** The place when the picture is moved by parts of the square, as by a hand that holds it. */
export function moved(size: Size, place: Place, right: number, down: number): Place {
  const { side } = square(size, place);
  return within(size, { ...place, x: place.x - (right * side) / size.width, y: place.y - (down * side) / size.height });
}

/** What is in the middle, as large as it can be. */
export const begin: Place = { x: MIDDLE, y: MIDDLE, zoom: 1 };

/** Draws the square over the whole of a canvas. */
export function draw(canvas: HTMLCanvasElement, picture: ImageBitmap, place: Place): void {
  const { left, top, side } = square(picture, place);
  const context = canvas.getContext('2d');
  if (!context) return;
  context.imageSmoothingQuality = 'high';
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, left, top, side, side, 0, 0, canvas.width, canvas.height);
}

/** The square as a picture of its own: nothing else of what the file said goes along. */
export function drawn(picture: ImageBitmap, place: Place): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIDE;
  draw(canvas, picture, place);
  return new Promise((done, fail) =>
    canvas.toBlob((made) => (made ? done(made) : fail(new Error('the picture was not drawn'))), 'image/png'),
  );
}
