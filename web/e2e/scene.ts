// Three people with something to say: what the screenshots show.
import { deflateSync } from 'node:zlib';
import { eventually, Node, roomOf } from './node';

export interface Scene {
  nodes: Node[];
  alice: Node;
  club: string;
  direct: string;
  bob: string;
  root: string;
}

export async function peopled(): Promise<Scene> {
  const [alice, bob, carol] = await Promise.all([Node.start('Alice'), Node.start('Bob Berger'), Node.start('Carol')]);
  const club = await roomOf(alice, [bob, carol], 'Reading club');
  await alice.call('PATCH', `/rooms/${club}`, { about: 'Poems on Tuesdays, plays on Fridays.' });
  const news = await alice.call<{ room: string }>('POST', '/rooms', { name: 'Announcements', kind: 'channel' });
  await alice.send(news.room, 'The new timetable is **out**.');
  await alice.call('POST', '/rooms', { name: 'Garden', about: 'Beans and tools' });
  const bobId = (await bob.call<{ account: string }>('GET', '/status')).account;
  await alice.send(club, 'Good morning! Who has read the first chapter?');
  const first = await bob.send(club, 'I have. It is *wonderful*, the sea is almost a person in it.');
  await here(alice, club, first);
  await alice.call('PUT', `/rooms/${club}/messages/${first}/reaction`, { emoji: '❤️', on: true });
  await carol.call('PUT', `/rooms/${club}/messages/${await here(carol, club, first)}/reaction`, {
    emoji: '❤️',
    on: true,
  });
  await carol.call('PUT', `/rooms/${club}/messages/${first}/reaction`, { emoji: '🌊', on: true });
  await carol.send(
    club,
    'Not yet! Two things before Tuesday:\n\n- the library has three copies\n- the café is booked from **18:00**',
  );
  const root = await alice.send(
    club,
    '@Bob Berger could you bring the other edition? I would like to compare the beginning.',
    { reply_to: first },
  );
  await bob.call('POST', `/rooms/${club}/messages`, {
    text: 'Sure, it is on my shelf.',
    thread: await here(bob, club, root),
  });
  await carol.call('POST', `/rooms/${club}/messages`, {
    text: 'And the translation, if you still have it?',
    thread: await here(carol, club, root),
  });
  await alice.call('POST', `/rooms/${club}/polls`, {
    question: 'What do we read next?',
    options: ['To the Lighthouse', 'Effi Briest', 'The Leopard'],
  });
  const poll = await eventually(
    async () => (await page(bob, club)).find((m) => m.kind === 'poll'),
    'the poll reaches Bob',
  );
  await bob.call('PUT', `/rooms/${club}/messages/${poll.message}/vote`, { choices: [0] });
  const photo = await bob.call<{ file: string }>(
    'POST',
    '/files?name=harbour.png&mime=image/png',
    picture(640, 400),
    'application/octet-stream',
  );
  await bob.send(club, 'This is the harbour of the book, I was there in May.', { files: [photo.file] });
  const minutes = await carol.call<{ file: string }>(
    'POST',
    '/files?name=minutes-of-may.pdf&mime=application/pdf',
    Buffer.alloc(182_000, 7),
    'application/octet-stream',
  );
  await carol.send(club, '', { files: [minutes.file] });
  await alice.send(club, '```\nTuesday 18:00  poems\nFriday  19:30  plays\n```');
  await bob.send(club, '👍');
  await alice.send(club, 'Perfect, see you on Tuesday. More about the place: https://example.org/cafe');
  const dm = await alice.call<{ room: string }>('POST', '/dm', {
    who: bobId,
    text: 'Shall we take the train together?',
  });
  await bob.call('POST', '/dm', {
    who: (await alice.call<{ account: string }>('GET', '/status')).account,
    text: 'Gladly, at nine?',
  });
  await eventually(async () => (await page(alice, dm.room)).length >= 2, 'the direct chat is whole');
  await eventually(async () => (await page(alice, club)).some((m) => m.text === '👍'), 'all is there');
  return { nodes: [alice, bob, carol], alice, club, direct: dm.room, bob: bobId, root };
}

interface Said {
  message: string;
  text: string;
  kind: string;
}

async function page(node: Node, room: string): Promise<Said[]> {
  return (await node.call<{ items: Said[] }>('GET', `/rooms/${room}/messages?limit=100`)).items;
}

/** Waits until a message is on a node. */
async function here(node: Node, room: string, message: string): Promise<string> {
  await eventually(async () => (await page(node, room)).some((m) => m.message === message), 'the message arrives');
  return message;
}

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

/** A picture made here: a sky over a sea. */
export function picture(width: number, height: number): Buffer {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sea = y > height * 0.6 + Math.sin(x / 23) * 3;
      const sun = Math.hypot(x - width * 0.7, y - height * 0.42) < height * 0.11;
      const shade = Math.round((y / height) * 70);
      const at = y * (width * 3 + 1) + 1 + x * 3;
      const wave = sea && (x + y * 3) % 41 < 9 ? 26 : 0;
      rows[at] = sun ? 255 : sea ? 24 + wave : 250 - shade;
      rows[at + 1] = sun ? 236 : sea ? 96 + wave + shade / 2 : 190 - shade / 3;
      rows[at + 2] = sun ? 190 : sea ? 122 + wave : 150 + shade;
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
