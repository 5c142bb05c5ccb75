// What others write is text in the exported page, whatever they write.
import { describe, expect, test } from 'vitest';
import type { ExportPage, Message } from '../api/types';
import { JsonLines, nameOf } from './export';
import { said as made } from '../store/said';
import { Days, END, head, message } from './page';

const HOSTILE = `</title></style><script>alert(1)</script><img src=x onerror='a()'>"'\`&#60;\u202e`;

const said = (more: Partial<Message>): Message =>
  made('1', {
    message: HOSTILE,
    author: { account: 'a', name: HOSTILE },
    text: HOSTILE,
    recipients: 0,
    ...more,
  });

const about = {
  parlor_export: 1,
  room: 'r',
  name: HOSTILE,
  description: HOSTILE,
  account: 'a',
  by: HOSTILE,
  exported_at: '2026-05-01T10:00:00Z',
};

/** What a browser makes of it. */
function read(html: string): Document {
  return new DOMParser().parseFromString(html, 'text/html');
}

describe('the exported page', () => {
  test('what was written under old keys is told in the file too, of a deleted message not', () => {
    expect(message(said({ unsafe_epoch: true }), [])).toContain('somebody who is out may read it');
    expect(message(said({ unsafe_epoch: true, deleted: true }), [])).not.toContain('who is out');
    expect(message(said({}), [])).not.toContain('who is out');
  });

  test('nothing of others becomes a part of it', () => {
    const hostile = said({
      formatted: [
        {
          type: 'paragraph',
          spans: [{ type: 'link', url: 'javascript:alert(1)', spans: [{ type: 'text', text: HOSTILE }] }],
        },
        {
          type: 'paragraph',
          spans: [{ type: 'link', url: `https://a/"onclick="b`, spans: [{ type: 'code', text: HOSTILE }] }],
        },
        { type: 'code', language: '"', text: HOSTILE },
      ],
      files: [{ name: HOSTILE, mime: 'image/png', bytes: 5, hash: 'h', state: 'here' }],
      reactions: { [HOSTILE]: ['a'] },
    });
    const html = head(about) + message(hostile, ['data:image/jpeg;base64,AA"onload="x']) + message(said({}), []) + END;
    const page = read(html);
    expect(page.querySelectorAll('script, iframe, [onerror], [onclick], [onload], a[href^=javascript]')).toHaveLength(
      0,
    );
    expect(page.querySelectorAll('article')).toHaveLength(2);
    expect(page.querySelectorAll('img')).toHaveLength(1);
    expect(page.querySelector('h1')?.textContent).toContain('<script>alert(1)</script>');
    expect(html).not.toContain('\u202e');
    expect(html).toContain("default-src 'none'");
  });

  test('a deleted message says only that it was there, and each day is named once', () => {
    const days = new Days();
    expect(days.before(said({}))).toContain('<h2>');
    expect(days.before(said({ sent_at: '2026-05-01T11:00:00Z' }))).toBe('');
    expect(read(message(said({ deleted: true, text: '' }), [])).body.textContent).toContain('Deleted message');
  });

  test('the name of the file is of signs that every system takes', () => {
    expect(nameOf('../<b>Chor</b>: Fräulein', 'html')).toBe('bChorb Fräulein.html');
    expect(nameOf('///', 'json')).toBe('room.json');
  });
});

test('the parts of a JSON export are one object, however the stretches are cut', () => {
  const control = { about, control: ['c1', 'c2'], events: [] } as ExportPage;
  const first = { about, control: ['c3'], events: [{ event: 'e1' }] } as ExportPage;
  const second = { about, control: [], events: [{ event: 'e2', key: 'k' }] } as ExportPage;
  for (const [stretches, events] of [
    [[control, first, second], 2],
    [[control], 0],
  ] as const) {
    let text = '';
    const lines = new JsonLines(stretches[0], (part) => (text += part));
    for (const stretch of stretches) lines.add(stretch);
    lines.end();
    const made = JSON.parse(text) as { parlor_export: number; control: string[]; events: unknown[] };
    expect(made.parlor_export).toBe(1);
    expect(made.control.slice(0, 2)).toEqual(['c1', 'c2']);
    expect(made.events).toHaveLength(events);
  }
});
