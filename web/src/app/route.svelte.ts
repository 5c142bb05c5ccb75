// Where the reader is, in the part of the address behind `#`, so that back and forward work and nothing of it leaves the browser.
export type Route =
  | { at: 'rooms' }
  | { at: 'room'; room: string; side: 'none' | 'info' | 'thread'; thread: string; message: string; tab: string }
  | { at: 'people'; who: string }
  | { at: 'search'; query: string }
  | { at: 'settings'; page: string };

function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').map(safeDecode);
  const params = new URLSearchParams(query);
  switch (parts[0]) {
    case 'room':
      return {
        at: 'room',
        room: parts[1] ?? '',
        side: parts[2] === 'info' ? 'info' : parts[2] === 'thread' ? 'thread' : 'none',
        thread: parts[2] === 'thread' ? (parts[3] ?? '') : '',
        tab: parts[2] === 'info' ? (parts[3] ?? '') : '',
        message: params.get('message') ?? '',
      };
    case 'people':
      return { at: 'people', who: parts[1] ?? '' };
    case 'search':
      return { at: 'search', query: params.get('q') ?? '' };
    case 'settings':
      return { at: 'settings', page: parts[1] ?? '' };
    default:
      return { at: 'rooms' };
  }
}

function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}

class Location {
  route = $state.raw<Route>(parse(location.hash));

  constructor() {
    addEventListener('hashchange', () => (this.route = parse(location.hash)));
  }
}

export const here = new Location();

/** Goes somewhere; `replace` leaves no step back. */
export function go(to: string, replace = false): void {
  if (replace) {
    history.replaceState(null, '', to);
    here.route = parse(location.hash);
  } else location.hash = to;
}

export const at = {
  rooms: '#/',
  room: (id: string): string => `#/room/${id}`,
  message: (id: string, message: string): string => `#/room/${id}?message=${message}`,
  info: (id: string, tab = ''): string => `#/room/${id}/info${tab ? `/${tab}` : ''}`,
  thread: (id: string, root: string): string => `#/room/${id}/thread/${root}`,
  people: (who = ''): string => `#/people${who ? `/${who}` : ''}`,
  search: (query = ''): string => `#/search${query ? `?q=${encodeURIComponent(query)}` : ''}`,
  settings: (page = ''): string => `#/settings${page ? `/${page}` : ''}`,
};
