// What members write is shown as text and elements of ours, never as HTML of theirs.
import { render } from '@testing-library/svelte';
import { expect, test } from 'vitest';
import { host, safe } from './address';
import Formatted from './Formatted.svelte';
import type { Block } from '../api/types';

test('markup in a text stays text', () => {
  const hostile = '<img src=x onerror=alert(1)><script>alert(1)</script>';
  const { container } = render(Formatted, {
    blocks: [{ type: 'paragraph', spans: [{ type: 'text', text: hostile }] }],
  });
  expect(container.querySelector('img, script')).toBeNull();
  expect(container.textContent).toContain(hostile);
});

test('an address that runs something is no link', () => {
  for (const url of [
    'javascript:alert(1)',
    ' javascript:alert(1)',
    'data:text/html,x',
    'file:///etc/passwd',
    'vbscript:x',
    'blob:x',
  ]) {
    expect(safe(url)).toBe(false);
    const blocks: Block[] = [
      { type: 'paragraph', spans: [{ type: 'link', url, spans: [{ type: 'text', text: 'here' }] }] },
    ];
    const { container } = render(Formatted, { blocks });
    expect(container.querySelector('a')).toBeNull();
    expect(container.textContent).toContain('here');
  }
});

test('a link leads out without telling where from, and says where to', () => {
  const blocks: Block[] = [
    {
      type: 'paragraph',
      spans: [{ type: 'link', url: 'https://evil.example/x', spans: [{ type: 'text', text: 'https://good.example' }] }],
    },
  ];
  const link = render(Formatted, { blocks }).container.querySelector('a')!;
  expect(link.rel).toBe('noopener noreferrer');
  expect(link.title).toBe('evil.example');
  expect(host('https://xn--pple-43d.com/')).toBe('xn--pple-43d.com');
});

test('blocks and spans become what they say', () => {
  const blocks: Block[] = [
    { type: 'quote', blocks: [{ type: 'paragraph', spans: [{ type: 'bold', spans: [{ type: 'text', text: 'b' }] }] }] },
    { type: 'list', ordered: true, start: 3, items: [[{ type: 'paragraph', spans: [{ type: 'code', text: 'c' }] }]] },
    { type: 'code', language: 'rust', text: 'fn main() {}\n' },
    { type: 'paragraph', spans: [{ type: 'mention', account: 'x', name: 'Bob' }] },
  ];
  const { container } = render(Formatted, { blocks });
  expect(container.querySelector('blockquote strong')?.textContent).toBe('b');
  expect(container.querySelector('ol')?.getAttribute('start')).toBe('3');
  expect(container.querySelector('pre')?.textContent).toBe('fn main() {}\n');
  expect(container.querySelector('.mention')?.textContent).toBe('@Bob');
});
