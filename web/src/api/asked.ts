// A node for tests: what was asked of it, and answers as the test gives them.
import { vi } from 'vitest';
import type { NodeEvent, Room, RoomItem } from './types';

export interface Asked {
  method: string;
  path: string;
  body: unknown;
}

/** Stands for the node until `vi.unstubAllGlobals`; answers the list of what is asked, which grows. */
export function node(give: (asked: Asked) => Response | Promise<Response>): Asked[] {
  const list: Asked[] = [];
  vi.stubGlobal('fetch', async (input: Request | string, init?: RequestInit) => {
    const request = typeof input === 'string' ? new Request(new URL(input, 'http://localhost'), init) : input;
    const text = await request.clone().text();
    const asked = {
      method: request.method,
      path: new URL(request.url).pathname,
      body: text ? (JSON.parse(text) as unknown) : null,
    };
    list.push(asked);
    return give(asked);
  });
  return list;
}

export const refused = (code: string, status: number): Response => Response.json({ code, detail: code }, { status });

export const event = (name: string, more: object): NodeEvent =>
  ({ event: name, seq: 1, at: '', ...more }) as unknown as NodeEvent;

export const item = (room: string, more: object = {}): RoomItem =>
  ({ room, name: room, kind: 'group', role: 'owner', unread: 0, mentions: 0, members: 1, ...more }) as RoomItem;

export const detail = (room: string, more: object = {}): Room =>
  ({
    ...item(room),
    people: [],
    banned: [],
    online: 0,
    safe: true,
    about: '',
    history: 'shared',
    ...more,
  }) as unknown as Room;
