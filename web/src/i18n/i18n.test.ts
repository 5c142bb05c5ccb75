// Both languages say everything: the compiler compares the keys, this the rest.
import { describe, expect, test } from 'vitest';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { de } from './de';
import { en } from './en';
import type { Entry } from './entry';
import { known, PERSON, size, speak, t } from './i18n.svelte';

const holes = (entry: Entry): string[] => {
  const forms = typeof entry === 'string' ? [entry] : [entry.one, entry.other];
  return [...new Set(forms.flatMap((form) => form.match(/\{\w+\}/g) ?? []))].sort();
};

/** Problems of the command line, of scripts and of a page that has no session: no window shows them. */
const OF_PROGRAMS = new Set(
  (
    'usage not_utf8 bad_config no_node scope_missing no_account foreign_host foreign_origin method_not_allowed ' +
    'fell_behind export_differs home_locked passphrase_needed port_in_use'
  ).split(' '),
);

test('every finding of the doctor has words, and what to do', () => {
  const rules = readFileSync('../node/src/doctor/rules.rs', 'utf8').split('#[cfg(test)]')[0]!;
  const codes = [...new Set([...rules.matchAll(/"([a-z]+(?:_[a-z]+)+)"/g)].map((m) => m[1]!))];
  expect(codes.length).toBeGreaterThan(25);
  expect(codes.filter((code) => !known(`finding.${code}`) || !known(`finding.${code}.do`))).toEqual([]);
});

describe('the catalogues', () => {
  const keys = Object.keys(en) as (keyof typeof en)[];

  test('every entry takes the same values in both languages, and is of the same kind', () => {
    const differ = keys.filter(
      (key) => holes(de[key]).join() !== holes(en[key]).join() || typeof de[key] !== typeof en[key],
    );
    expect(differ).toEqual([]);
  });

  test('each entry stands in one file only', () => {
    const files = import.meta.glob<Record<string, object>>('./en/*.ts', { eager: true });
    const all = Object.values(files).flatMap((file) => Object.values(file).flatMap(Object.keys));
    expect(all.toSorted()).toEqual(keys.toSorted());
  });

  test('what the node tells by a code is told in every language', () => {
    const source = (file: string): string => readFileSync(`../node/src/${file}`, 'utf8');
    const codes = (file: string, shape: RegExp): string[] => [...source(file).matchAll(shape)].map((m) => m[1]!);
    const rules = source('doctor/rules.rs').split('mod tests')[0]!;
    const all = [
      ...codes('services/rooms/way.rs', /(?:=> "|because\(")(\w+)"/g)
        .filter((code) => code !== 'waiting' && code !== 'failed')
        .map((code) => `reason.${code}`),
      ...codes('services/rooms/views.rs', /InviteEnd::\w+(?:\(by\))? => \("(\w+)"/g).map((code) => `ended.${code}`),
      ...codes('services/rooms/views.rs', /=>\s*(?:\{\s*)?\(\s*"(\w+)",\s*"/g).map((code) => `why_not.${code}`),
      ...codes('services/mailboxes/troubles.rs', /(?:=> |new\()"(\w+)"/g).map((code) => `relay.why.${code}`),
      ...codes('services/joins/problems.rs', /(?:why|reason)\("(\w+)"/g).flatMap((c) => [`why.${c}`, `why.${c}.do`]),
      ...['actor', 'handle'].flatMap((file) =>
        codes(`services/files/${file}.rs`, /Why::new\("(\w+)"/g).map((code) => `nofile.${code}`),
      ),
      ...[...rules.matchAll(/step\(\s*"(\w+)"/g)].map((m) => `tried.${m[1]}`),
    ];
    expect(all.length).toBeGreaterThan(55);
    expect(all.filter((key) => !known(key))).toEqual([]);
  });

  test('every problem that a page can meet is told in every language, and every kind of what waits', () => {
    const told = (file: string, shape: RegExp): string[] =>
      [...readFileSync(`../api/src/${file}`, 'utf8').matchAll(shape)].map((m) => m[1]!);
    const problems = told('problem.rs', /^ {4}\w+ +"(\w+)" +\d{3} /gm).filter((code) => !OF_PROGRAMS.has(code));
    expect(problems.length).toBeGreaterThan(40);
    const kinds = told('outbox.rs', /^ {4}([A-Z]\w+),$/gm).map((kind) =>
      kind.replace(/(?<=.)[A-Z]/g, (c) => `_${c}`).toLowerCase(),
    );
    expect(kinds.length).toBeGreaterThan(8);
    const keys = [
      ...problems.map((code) => `problem.${code}`),
      ...kinds.filter((kind) => kind !== 'text').map((kind) => `outbox.${kind}`),
    ];
    expect(keys.filter((key) => !known(key))).toEqual([]);
  });

  test('no words are kept that no page shows', () => {
    const source = files(join(process.cwd(), 'src')).join('\n');
    const parts = [...source.matchAll(/[`'"]([a-z0-9._-]+)(?:\$\{[^}]*\}+([a-z.]*))?/g)].map((m) => ({
      full: m[1]!,
      open: m[0].includes('${'),
    }));
    const whole = new Set(parts.filter((p) => !p.open).map((p) => p.full));
    const begins = parts.filter((p) => p.open).map((p) => p.full);
    const unused = Object.keys(en).filter(
      (key) => !whole.has(key) && !begins.some((b) => b.includes('.') && key.startsWith(b)),
    );
    expect(unused).toEqual([]);
  });
});

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(
      (e) =>
        e.isFile() && /\.(svelte|ts)$/.test(e.name) && !/test|i18n\/(en|de)\b|schema/.test(join(e.parentPath, e.name)),
    )
    .map((e) => readFileSync(join(e.parentPath, e.name), 'utf8'));
}

describe('words', () => {
  test('choose the plural and write numbers as the language does', async () => {
    expect(t('members.n', { n: 1 })).toBe('1 member');
    expect(t('members.n', { n: 1200 })).toBe('1,200 members');
    await speak('de');
    expect(t('members.n', { n: 1200 })).toBe('1.200 Mitglieder');
    expect(document.documentElement.lang).toBe('de');
    expect(size(1_500_000)).toBe('1,5 MB');
    await speak('en');
  });

  test('are of the person they speak of', async () => {
    const who = '[a|b]';
    expect(t('note.banned', { who, by: 'you', person: PERSON.other })).toBe('[a|b] was banned by you');
    expect(t('note.banned', { who: 'You', by: 'Bob', person: PERSON.you })).toBe('You were banned by Bob');
    await speak('de');
    expect(t('note.joined', { who: 'Du', person: PERSON.you })).toBe('Du bist jetzt dabei');
    expect(t('note.joined', { who: 'Bob, Carol', person: PERSON.several })).toBe('Bob, Carol sind jetzt dabei');
    await speak('en');
  });

  test('leave what is a name alone, also if it looks like a hole', () => {
    expect(t('typing.one', { name: '{n}' })).toBe('{n} is typing');
  });
});
