// The search as a person writes it: words, and filters as `room:`, `from:`, `has:file`, `since:`, `until:`.
import { json } from '../api/client';
import type { Message } from '../api/types';

export type Hit = Message & { snippet: string; marks: [number, number][]; score: number };

export interface Found {
  items: Hit[];
  next: string | null;
  complete: boolean;
  indexed: number;
  total: number;
}

const FILTERS = ['room', 'from', 'has', 'since', 'until'] as const;
type Filters = Partial<Record<(typeof FILTERS)[number], string>>;

/** Takes the filters out of what was written. The last word may be unfinished, so blanks at the end count. */
export function parse(written: string): { q: string; filters: Filters } {
  const filters: Filters = {};
  const q = written.replace(
    /(^|\s)(room|from|has|since|until):("[^"]*"|\S+)/g,
    (_, blank: string, name: string, value: string) => {
      filters[name as keyof Filters] = value.replace(/^"|"$/g, '');
      return blank;
    },
  );
  return { q: q.replace(/\s+/g, ' ').trimStart(), filters };
}

export function find(written: string, cursor: string | null): Promise<Found> {
  const { q, filters } = parse(written);
  const query = new URLSearchParams({ q, limit: '30' });
  for (const name of FILTERS) if (filters[name]) query.set(name, filters[name]);
  if (cursor) query.set('cursor', cursor);
  return json<Found>('GET', `/api/v1/search?${query}`);
}

/** A snippet in pieces, those that were found marked. Marks count characters, not UTF-16 units. */
export function pieces(
  snippet: string,
  marks: readonly (readonly [number, number])[],
): { text: string; hit: boolean }[] {
  const chars = [...snippet];
  const out: { text: string; hit: boolean }[] = [];
  let at = 0;
  for (const [from, to] of marks) {
    if (from > at) out.push({ text: chars.slice(at, from).join(''), hit: false });
    out.push({ text: chars.slice(Math.max(at, from), to).join(''), hit: true });
    at = Math.max(at, to);
  }
  if (at < chars.length) out.push({ text: chars.slice(at).join(''), hit: false });
  return out;
}
