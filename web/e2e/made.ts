// Pictures and sounds that tests hand in: made here, byte by byte.
import { deflateSync } from 'node:zlib';

const CRC = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  let crc = 0xffffffff;
  for (const byte of body) crc = CRC[(crc ^ byte) & 255]! ^ (crc >>> 8);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE((crc ^ 0xffffffff) >>> 0, body.length + 4);
  return out;
}

type Colour = [number, number, number];

/** A picture of what `at` says of each of its places. */
function painted(width: number, height: number, at: (x: number, y: number) => Colour): Buffer {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      rows.set(
        at(x, y).map((c) => Math.max(0, Math.min(255, Math.round(c)))),
        y * (width * 3 + 1) + 1 + x * 3,
      );
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Red, green and blue beside each other. */
export function thirds(width: number, height: number): Buffer {
  return painted(width, height, (x) => {
    const third = Math.floor((x * 3) / width);
    return [third === 0 ? 255 : 0, third === 1 ? 255 : 0, third === 2 ? 255 : 0];
  });
}

/** A sky over a sea. */
export function picture(width: number, height: number): Buffer {
  return painted(width, height, (x, y) => {
    const sea = y > height * 0.6 + Math.sin(x / 23) * 3;
    const sun = Math.hypot(x - width * 0.7, y - height * 0.42) < height * 0.11;
    const shade = Math.round((y / height) * 70);
    const wave = sea && (x + y * 3) % 41 < 9 ? 26 : 0;
    return sun
      ? [255, 236, 190]
      : sea
        ? [24 + wave, 96 + wave + shade / 2, 122 + wave]
        : [250 - shade, 190 - shade / 3, 150 + shade];
  });
}

/** Somebody before a wall of a colour. */
export function portrait(wall: Colour, hair: Colour, coat: Colour): Buffer {
  return painted(256, 256, (x, y) => {
    const light = 1 - y / 900;
    const face = Math.hypot((x - 128) / 44, (y - 112) / 56) < 1;
    const head = Math.hypot((x - 128) / 54, (y - 98) / 62) < 1 && y < 118;
    const body = Math.hypot((x - 128) / 96, (y - 262) / 84) < 1;
    const neck = Math.abs(x - 128) < 20 && y > 150 && y < 190;
    const [r, g, b] =
      face && !(head && y < 84)
        ? ([236, 188, 160] as Colour)
        : head
          ? hair
          : neck
            ? [222, 170, 142]
            : body
              ? coat
              : wall;
    return [r! * light, g! * light, b! * light];
  });
}

/** A tone that swells and fades, as a recording of whole seconds. */
export function recording(seconds: number): Buffer {
  const rate = 8_000;
  const samples = Buffer.alloc(rate * seconds * 2);
  for (let i = 0; i < rate * seconds; i++) {
    const loud = Math.abs(Math.sin((i / rate) * 2.1) * Math.sin((i / rate) * 7.3));
    samples.writeInt16LE(Math.round(12_000 * loud * Math.sin((i / rate) * 2 * Math.PI * 220)), i * 2);
  }
  const head = Buffer.alloc(44);
  head.write('RIFF');
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.set([1, 0, 1, 0], 20);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * 2, 28);
  head.set([2, 0, 16, 0], 32);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}
