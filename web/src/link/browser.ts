// The hub's world in a browser: fetch, WebSocket and timers of this window or worker.
import type { World } from './hub';

export function browserWorld(token: () => string): World {
  return {
    async ticket() {
      const response = await fetch('/api/v1/tickets', {
        method: 'POST',
        headers: { Authorization: `Bearer ${token()}` },
      });
      if (response.status === 401) return null;
      if (!response.ok) throw new Error(`tickets: ${response.status}`);
      return ((await response.json()) as { ticket: string }).ticket;
    },
    socket(ticket, since) {
      const query = new URLSearchParams({ ticket });
      if (since > 0) query.set('since', String(since));
      return new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/v1/events?${query}`);
    },
    later(ms, call) {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  };
}
