// How loud a recording is from its beginning to its end, to be drawn before it is played.
import { raw } from '../api/client';
import { recording, type Recording } from './webm';

/** Bars of a wave. */
export const BARS = 44;
/** What is longer is not decoded only to be looked at. */
const LONGEST_MICROS = 15 * 60 * 1_000_000;
/** How many are kept at hand. */
const KEPT = 200;
const RATE_HZ = 48_000;
/** A decoder that is not ready by then is given up, and the next recording has its turn. */
const DEADLINE_MS = 10_000;

const waves = new Map<string, Promise<readonly number[]>>();
/** One after the other: a room may begin with many. */
let turn: Promise<unknown> = Promise.resolve();

/** The wave of a voice message that is here; empty if it is none that the page can read. */
export function wave(path: string): Promise<readonly number[]> {
  const known = waves.get(path);
  if (known) return known;
  const made = turn.then(() => drawn(path));
  turn = made.catch(() => undefined);
  waves.set(path, made);
  made.catch(() => waves.delete(path));
  const [oldest] = waves.keys();
  if (waves.size > KEPT && oldest !== undefined) waves.delete(oldest);
  return made;
}

async function drawn(path: string): Promise<readonly number[]> {
  if (typeof AudioDecoder === 'undefined') return [];
  const found = recording(new Uint8Array(await (await raw(path)).arrayBuffer()));
  return found && found.micros <= LONGEST_MICROS ? bars(found) : [];
}

/** Decodes packet by packet, and keeps of each how loud it is: whatever the packets are, they take no more memory than one. */
async function bars(of: Recording): Promise<number[]> {
  const loud = Array.from({ length: BARS }, () => 0);
  let trouble: unknown = null;
  const decoder = new AudioDecoder({
    output: (sound) => {
      const samples = new Float32Array(sound.numberOfFrames);
      sound.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      const bar = Math.min(BARS - 1, Math.floor((BARS * sound.timestamp) / of.micros));
      sound.close();
      loud[bar] = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), loud[bar]!);
    },
    error: (error) => (trouble = error),
  });
  let late: ReturnType<typeof setTimeout> | undefined;
  try {
    decoder.configure({ codec: 'opus', sampleRate: RATE_HZ, numberOfChannels: of.channels });
    let timestamp = 0;
    for (const { data, micros } of of.packets) {
      decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp, duration: micros, data }));
      timestamp += micros;
    }
    const end = new Promise<never>((_, fail) => {
      late = setTimeout(() => fail(new Error('the recording was not decoded in time')), DEADLINE_MS);
    });
    await Promise.race([decoder.flush(), end]);
  } finally {
    clearTimeout(late);
    if (decoder.state !== 'closed') decoder.close();
  }
  if (trouble) throw trouble;
  return relative(loud);
}

/** Of the loudest of all; what was never loud is flat. */
export function relative(loud: readonly number[]): number[] {
  const loudest = Math.max(...loud);
  return loud.map((l) => (loudest > 0 ? l / loudest : 0));
}
