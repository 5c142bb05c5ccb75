// What is drawn of a recording is read from its packets, and of nothing else.
import { describe, expect, test } from 'vitest';
import { relative } from './wave';
import { microsOf, recording } from './webm';

const UNKNOWN = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const element = (id: number[], body: number[]): number[] => [...id, 0x80 | body.length, ...body];
const text = (word: string): number[] => [...word].map((c) => c.charCodeAt(0));
const track = (codec = 'A_OPUS'): number[] =>
  element(
    [0x16, 0x54, 0xae, 0x6b],
    element([0xae], [...element([0x86], text(codec)), ...element([0xe1], element([0x9f], [2]))]),
  );
/** Twenty milliseconds. */
const packet = [0x08, 1, 2, 3];
const block = (body = packet, flags = 0x80): number[] => element([0xa3], [0x81, 0, 0, flags, ...body]);
/** As recorders write it: how long the whole and its clusters are they do not know. */
const file = (...inside: number[]): Uint8Array =>
  new Uint8Array([...element([0x1a, 0x45, 0xdf, 0xa3], [1, 2, 3]), 0x18, 0x53, 0x80, 0x67, ...UNKNOWN, ...inside]);
const cluster = (...blocks: number[]): number[] => [
  0x1f,
  0x43,
  0xb6,
  0x75,
  ...UNKNOWN,
  ...element([0xe7], [0]),
  ...blocks,
];

describe('a recording', () => {
  test('is its packets, over all clusters, also where their sizes were not known', () => {
    const found = recording(file(...track(), ...cluster(...block(), ...block()), ...cluster(...block())));
    expect(found?.channels).toBe(2);
    expect(found?.packets.map((p) => [...p.data])).toEqual([packet, packet, packet]);
    expect(found?.micros).toBe(60_000);
  });

  test('of another kind, with several packets in a block, broken off, or empty is not drawn', () => {
    expect(recording(file(...track('A_FLAC'), ...cluster(...block())))).toBeNull();
    expect(recording(file(...track(), ...track(), ...cluster(...block())))).toBeNull();
    expect(recording(file(...track(), ...cluster(...block(packet, 0x82))))).toBeNull();
    expect(recording(file(...track(), ...cluster(...block())).slice(0, -1))).toBeNull();
    expect(recording(file(...track(), ...cluster()))).toBeNull();
    expect(recording(new Uint8Array(64))).toBeNull();
    expect(recording(new Uint8Array(0))).toBeNull();
  });

  test('sounds as long as the first bytes of its packets say', () => {
    expect(microsOf(new Uint8Array([0x08]))).toBe(20_000);
    expect(microsOf(new Uint8Array([0x19]))).toBe(120_000);
    expect(microsOf(new Uint8Array([0x80]))).toBe(2_500);
    expect(microsOf(new Uint8Array([0xfb, 0x06]))).toBe(120_000);
    expect(microsOf(new Uint8Array([]))).toBe(0);
  });

  test('fills the bar of its loudest part, and is flat when nobody speaks', () => {
    expect(relative([0.1, 0.5, 0])).toEqual([0.2, 1, 0]);
    expect(relative([0, 0])).toEqual([0, 0]);
  });
});
