// Three people with something to say: what the screenshots show.
import { picture, portrait, recording } from './made';
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
  await portraits([alice, bob]);
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
  const voice = await carol.call<{ file: string }>(
    'POST',
    '/files?name=voice-message.wav&mime=audio/wav',
    recording(6),
    'application/octet-stream',
  );
  await carol.send(club, '', { files: [voice.file] });
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
  await carol.call('POST', '/dm', {
    who: (await alice.call<{ account: string }>('GET', '/status')).account,
    text: 'Hello, it is me, from the reading club.',
  });
  await alice.call('POST', '/tokens', { name: 'Weather bot', scope: ['send'], rooms: [club] });
  await alice.call('POST', '/webhooks', { name: 'Calendar', url: 'http://127.0.0.1:9/parlor', rooms: [club] });
  await eventually(async () => (await page(alice, dm.room)).length >= 2, 'the direct chat is whole');
  await eventually(async () => {
    const told = await alice.call<{ about?: string; picture?: string }[]>('GET', '/profiles');
    return told.filter((p) => p.about && p.picture).length >= 2;
  }, 'Bob shows himself');
  await eventually(async () => {
    const book = await alice.call<{ state: string }[]>('GET', '/contacts');
    return book.some((c) => c.state === 'asking');
  }, 'Carol asks');
  await eventually(async () => (await page(alice, club)).some((m) => m.text === '👍'), 'all is there');
  return { nodes: [alice, bob, carol], alice, club, direct: dm.room, bob: bobId, root };
}

/** Two of them show themselves. */
async function portraits([alice, bob]: [Node, Node]): Promise<void> {
  const octets = 'application/octet-stream';
  await alice.call('PUT', '/profile/picture', portrait([190, 214, 220], [86, 54, 40], [28, 96, 96]), octets);
  await alice.call('PATCH', '/profile', { about: { value: 'Poems on Tuesdays.\nAlto, second row.' } });
  await bob.call('PUT', '/profile/picture', portrait([240, 214, 170], [44, 40, 44], [92, 70, 130]), octets);
  await bob.call('PATCH', '/profile', {
    about: { value: 'Sails when the wind allows.', visible: 'rooms' },
    last_seen: 'contacts',
  });
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
