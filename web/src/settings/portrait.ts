// A picture of any kind the browser can draw as one that the node takes.

/** What the node decodes by itself. */
const TAKEN = ['image/png', 'image/jpeg'];
/** As large as the node's own picture of it: larger would be made small there. */
const SIDE = 256;

/** PNG and JPEG as they are, for the node takes out of them what is beside the picture; of others the middle square, drawn here. */
export async function sendable(file: Blob): Promise<Blob> {
  if (TAKEN.includes(file.type)) return file;
  const drawn = await createImageBitmap(file);
  const side = Math.min(drawn.width, drawn.height);
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIDE;
  const left = (drawn.width - side) / 2;
  const top = (drawn.height - side) / 2;
  canvas.getContext('2d')?.drawImage(drawn, left, top, side, side, 0, 0, SIDE, SIDE);
  drawn.close();
  return new Promise((done, fail) =>
    canvas.toBlob((made) => (made ? done(made) : fail(new Error('the picture was not drawn'))), 'image/png'),
  );
}
