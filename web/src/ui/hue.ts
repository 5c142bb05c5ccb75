// The same colour for the same id everywhere: a name that is copied still looks different.
const HUES = 12;

export function hueOf(id: string): number {
  return Array.from(id.slice(0, 8)).reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 997, 7) % HUES;
}
