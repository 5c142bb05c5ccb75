// A room as a page to read: text only, no script, nothing fetched from anywhere. Everything of others is escaped here, and nowhere else
// in the page HTML is written.
import type { Block, ExportHead, Message, Span } from '../api/types';
import { dateTime, day, size, t, time, words } from '../i18n/i18n.svelte';
import { safe } from '../timeline/address';

export const END = '</main></body></html>\n';

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
const STYLE = `:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:.85rem;font-weight:600;text-align:center;margin:2rem 0 1rem;opacity:.75}
article{margin:.9rem 0}.who{font-weight:650}time,.note{font-size:.8rem;opacity:.75}
p,pre,ul,ol,blockquote{margin:.15rem 0;overflow-wrap:anywhere;unicode-bidi:plaintext}p{white-space:pre-wrap}
pre{padding:.5rem .75rem;border-radius:8px;background:rgb(128 128 128/15%);overflow-x:auto;overflow-wrap:normal}
code{font-family:ui-monospace,monospace;font-size:.9em}blockquote{padding-left:.75rem;border-left:3px solid rgb(128 128 128/50%)}
img{display:block;max-width:100%;margin:.4rem 0;border-radius:8px}`;

/** The beginning, with what the room is called. */
export function head(about: ExportHead): string {
  const name = escape(about.name);
  const text = about.description ? `<p>${escape(about.description)}</p>\n` : '';
  const note = escape(t('export.head', { by: about.by, at: dateTime(about.exported_at) }));
  return `<!doctype html>
<html lang="${words.language}"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width"><title>${name}</title>
<style>${STYLE}</style></head><body><main><h1><bdi>${name}</bdi></h1>
${text}<p class="note">${note}</p>
`;
}

/** Says when a new day begins. */
export class Days {
  private last = '';

  before(message: Message): string {
    const now = new Date(message.sent_at).toDateString();
    if (now === this.last) return '';
    this.last = now;
    return `<h2>${escape(day(message.sent_at, true))}</h2>\n`;
  }
}

/** A message; `pictures` has an address for each of its files that is shown. */
export function message(m: Message, pictures: readonly (string | null)[]): string {
  const at = `<time datetime="${escape(m.sent_at)}">${escape(time(m.sent_at))}</time>`;
  const parts = [
    `<article id="m${escape(m.message)}"><span class="who"><bdi>${escape(m.author.name)}</bdi></span> ${at}`,
  ];
  if (m.reply && !m.deleted) {
    const said = m.reply.deleted ? t('message.deleted') : m.reply.text;
    parts.push(`<blockquote><p><bdi>${escape(m.reply.author.name)}</bdi>: ${escape(said)}</p></blockquote>`);
  }
  if (m.deleted) parts.push(`<p class="note">${escape(t('message.deleted'))}</p>`);
  else if (m.kind === 'unknown') parts.push(`<p class="note">${escape(t('message.unknown'))}</p>`);
  else if (m.formatted) parts.push(...m.formatted.map(block));
  else if (m.text) parts.push(`<p>${escape(m.text)}</p>`);
  for (const option of m.poll?.options ?? []) {
    const votes = t('poll.voters', { n: option.votes.length });
    parts.push(`<p>&#9675; ${escape(option.text)} <span class="note">${escape(votes)}</span></p>`);
  }
  m.files.forEach((file, index) => {
    const url = pictures[index];
    if (url) parts.push(`<img src="${escape(url)}" alt="${escape(file.name)}">`);
    parts.push(`<p class="note"><bdi>${escape(file.name)}</bdi> · ${escape(size(file.bytes))}</p>`);
  });
  const notes = Object.entries(m.reactions).map(([emoji, who]) => `${emoji} ${who.length}`);
  if (m.edited_at) notes.unshift(t('message.edited'));
  if (m.unsafe_epoch && !m.deleted) notes.unshift(t('message.unsafe'));
  if (notes.length > 0) parts.push(`<p class="note">${escape(notes.join(' · '))}</p>`);
  return `${parts.join('\n')}\n</article>\n`;
}

function block(one: Block): string {
  switch (one.type) {
    case 'paragraph':
      return `<p>${spans(one.spans)}</p>`;
    case 'code':
      return `<pre><code>${escape(one.text)}</code></pre>`;
    case 'quote':
      return `<blockquote>${one.blocks.map(block).join('')}</blockquote>`;
    case 'list': {
      const items = one.items.map((item) => `<li>${item.map(block).join('')}</li>`).join('');
      return one.ordered ? `<ol start="${Math.trunc(one.start)}">${items}</ol>` : `<ul>${items}</ul>`;
    }
  }
}

function spans(list: readonly Span[]): string {
  return list.map(span).join('');
}

function span(one: Span): string {
  switch (one.type) {
    case 'text':
      return escape(one.text);
    case 'bold':
      return `<strong>${spans(one.spans)}</strong>`;
    case 'italic':
      return `<em>${spans(one.spans)}</em>`;
    case 'strike':
      return `<s>${spans(one.spans)}</s>`;
    case 'code':
      return `<code>${escape(one.text)}</code>`;
    case 'mention':
      return `<strong><bdi>@${escape(one.name)}</bdi></strong>`;
    case 'link':
      return safe(one.url)
        ? `<a href="${escape(one.url)}" rel="noopener noreferrer">${spans(one.spans)}</a>`
        : spans(one.spans);
  }
}

const MEANT: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Signs that show nothing or turn the direction; line ends and tabs are text. */
const UNSEEN = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text of others, which is never anything else. */
function escape(text: string): string {
  const plain = text.replace(UNSEEN, (sign) => (sign === '\n' || sign === '\t' ? sign : ''));
  return plain.replace(/[&<>"']/g, (sign) => MEANT[sign]!);
}
