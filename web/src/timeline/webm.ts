// The packets of a recording as browsers make them: Opus in WebM. Read from the container alone, so that nothing is decoded of which it is
// not known how long it is: it comes from anybody.

/** What holds other elements that matter here: its size does not, which recorders do not know when they write it. */
const HOLDING = new Set([0x18538067, 0x1654ae6b, 0xae, 0xe1, 0x1f43b675, 0xa0]);
const CODEC = 0x86;
const CHANNELS = 0x9f;
const SIMPLE_BLOCK = 0xa3;
const BLOCK = 0xa1;
/** Bits of a block's flags: more than one packet in it. */
const LACING = 0x06;

export interface Packet {
  data: Uint8Array;
  micros: number;
}

export interface Recording {
  channels: number;
  packets: readonly Packet[];
  micros: number;
}

/** A number of EBML: its first byte says how many follow. `keep` keeps that mark, as ids do. */
function number(bytes: Uint8Array, at: number, keep: boolean): { value: number; next: number } | null {
  const first = bytes[at];
  if (!first) return null;
  const length = Math.clz32(first) - 23;
  if (at + length > bytes.length) return null;
  let value = keep ? first : first & (0xff >> length);
  for (let i = 1; i < length; i++) value = value * 256 + bytes[at + i]!;
  return { value, next: at + length };
}

/** How long a packet of Opus sounds, by its first bytes (RFC 6716, 3.1). */
export function microsOf(packet: Uint8Array): number {
  const first = packet[0];
  if (first === undefined) return 0;
  const config = first >> 3;
  const frame =
    config < 12
      ? [10_000, 20_000, 40_000, 60_000][config & 3]!
      : config < 16
        ? [10_000, 20_000][config & 1]!
        : [2_500, 5_000, 10_000, 20_000][config & 3]!;
  const code = first & 3;
  return frame * (code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 63);
}

/** What is in a file; nothing if it is anything else than one track of Opus, or broken. */
export function recording(bytes: Uint8Array): Recording | null {
  const packets: Packet[] = [];
  let channels = 1;
  let opus = false;
  let at = 0;
  while (at < bytes.length) {
    const id = number(bytes, at, true);
    const size = id && number(bytes, id.next, false);
    if (!size) return null;
    at = size.next;
    if (HOLDING.has(id.value)) continue;
    const body = bytes.subarray(at, at + size.value);
    if (body.length !== size.value) return null;
    at += size.value;
    if (id.value === CODEC) {
      if (opus || new TextDecoder().decode(body) !== 'A_OPUS') return null;
      opus = true;
    } else if (id.value === CHANNELS) channels = body.at(-1) ?? 1;
    else if (id.value === SIMPLE_BLOCK || id.value === BLOCK) {
      const track = number(body, 0, false);
      const flags = track && body[track.next + 2];
      if (!track || flags === undefined || flags === null || (flags & LACING) !== 0) return null;
      const data = body.subarray(track.next + 3);
      packets.push({ data, micros: microsOf(data) });
    }
  }
  const micros = packets.reduce((sum, packet) => sum + packet.micros, 0);
  return opus && micros > 0 && (channels === 1 || channels === 2) ? { channels, packets, micros } : null;
}
