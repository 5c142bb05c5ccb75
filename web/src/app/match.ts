// Whether letters stand in a name in this order: how the palette finds.
export function matches(name: string, query: string): boolean {
  const n = name.toLowerCase();
  const q = query.toLowerCase();
  if (n.includes(q)) return true;
  let at = 0;
  for (const c of q.replace(/\s/g, '')) {
    at = n.indexOf(c, at);
    if (at < 0) return false;
    at += c.length;
  }
  return true;
}
