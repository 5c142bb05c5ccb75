// The same colour for the same id everywhere: a name that is copied still looks different.
const HUES = 12;

/** FNV-1a, so that ids that are alike are not of one colour. */
export function hueOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % HUES;
}
