// A message as tests need one: everything a message has, and what the test says of it.
import type { Message } from '../api/types';

export function said(order: string, more: Partial<Message> = {}): Message {
  const at = '2026-05-01T10:00:00Z';
  return {
    message: `m${order}`,
    room: 'r',
    author: { account: 'bob', name: 'Bob' },
    sent_at: at,
    received_at: at,
    kind: 'text',
    text: `text ${order}`,
    files: [],
    deleted: false,
    reactions: {},
    mentions: [],
    status: 'sent',
    delivered_to: 0,
    read_by: 0,
    recipients: 1,
    order,
    ...more,
  } as Message;
}
