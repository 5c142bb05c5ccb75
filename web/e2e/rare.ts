// Screens that seldom come: what a node answers is changed on its way to the page, so that each look has them without damage to a home.
import type { Page, Route } from 'playwright-core';
import { picture } from './made';
import type { Scene } from './scene';

export interface Screen {
  name: string;
  path: string;
  ready: string;
  /** What the node answers otherwise, from before the page is loaded. */
  mock?: (page: Page) => Promise<unknown>;
  act?: (page: Page) => Promise<unknown>;
}

type Json = Record<string, unknown>;

/** Presses what has an icon, and waits for what comes. */
export const press =
  (button: string, comes = 'dialog[open]') =>
  async (page: Page): Promise<void> => {
    await page.locator(button).first().click();
    await page.locator(comes).first().waitFor();
  };

/** Chooses something of the menu of the last own message, by its icon. */
export const ownMenu =
  (item: string) =>
  async (page: Page): Promise<void> => {
    // Not where a link may stand.
    await page
      .locator('article .own .bubble')
      .last()
      .click({ button: 'right', position: { x: 4, y: 4 } });
    await press(`[role=menuitem]:has(.lucide-${item})`)(page);
  };

const at = (path: string) => (url: URL) => url.pathname === `/api/v1${path}`;

/** The node's answer with something else in it. */
const change = <T = Json>(page: Page, path: string, how: (answer: T) => unknown): Promise<unknown> =>
  page.route(at(path), async (route: Route) => {
    if (route.request().method() !== 'GET') return route.fallback();
    const response = await route.fetch();
    await route.fulfill({ response, json: how((await response.json()) as T) });
  });

/** Another answer than the node's. */
const answer = (page: Page, method: string, path: string, json: unknown, status = 200): Promise<unknown> =>
  page.route(at(path), (route) =>
    route.request().method() === method ? route.fulfill({ status, json }) : route.fallback(),
  );

const HOUR_MS = 3_600_000;
const ago = (hours: number): string => new Date(Date.now() - hours * HOUR_MS).toISOString();
const id = (digit: string): string => digit.repeat(64);
/** What went wrong, as the node says it of a join that ended. */
const refused = (more: Json = {}): Json => ({
  code: 'join_refused',
  message: 'your request was refused by Bob Berger',
  hint: '',
  ...more,
});
const LONG = 'Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh';

export function rare(scene: Scene): Screen[] {
  const { club, direct, bob } = scene;
  const room = `#/room/${club}`;
  const info = `${room}/info`;
  const items = (page: Page, how: (list: Json[]) => Json[]): Promise<unknown> =>
    change<{ items: Json[] }>(page, `/rooms/${club}/messages`, (a) => ({ ...a, items: how(a.items) }));
  const of = (page: Page, more: Json): Promise<unknown> => change(page, `/rooms/${club}`, (a) => ({ ...a, ...more }));
  const listed = (page: Page, which: string, more: Json): Promise<unknown> =>
    change<Json[]>(page, '/rooms', (a) => a.map((r) => (r.room === which ? { ...r, ...more } : r)));
  const join = async (page: Page): Promise<void> => {
    await press('.list header button', '[role=menu]')(page);
    await press('[role=menuitem]:has(.lucide-link)')(page);
    await page.locator('dialog textarea').fill('parlor://join/1/#something');
    await page.locator('dialog button[type=submit]').click();
    await page.locator('dialog .state, dialog [role=alert]').first().waitFor();
  };
  const waits = (step: string, members = 0): Screen => ({
    name: `join-${step}`,
    path: '#/',
    ready: '.row',
    mock: (page) =>
      answer(page, 'POST', '/join', { room: id('f'), name: '', role: 'member', state: 'pending', step, members }),
    act: join,
  });
  const device = (more: Json): Json => ({
    new: true,
    online: false,
    revoked: false,
    rooms: [club],
    this: false,
    since: ago(3),
    name: '',
    ...more,
  });
  const joins = (page: Page, ...list: Json[]): Promise<unknown> =>
    change<Json>(page, '/status', (a) => ({ ...a, joins: list }));
  const noDraft = (page: Page): Promise<unknown> =>
    answer(page, 'PUT', `/rooms/${club}/draft`, { room: club, text: '', files: [] });
  return [
    {
      name: 'new-devices',
      path: room,
      ready: '.came',
      mock: async (page) => {
        await change<{ warnings: string[] }>(page, '/status', (a) => ({ ...a, warnings: ['device_new: 2'] }));
        await change<Json[]>(page, '/devices', (a) => [
          ...a,
          device({ device: id('a'), name: 'Laptop in the kitchen' }),
          device({ device: id('b') }),
        ]);
      },
    },
    {
      name: 'new-devices-revoke',
      path: '#/',
      ready: '.came',
      mock: async (page) => {
        await change<{ warnings: string[] }>(page, '/status', (a) => ({ ...a, warnings: ['device_new: 1'] }));
        await change<Json[]>(page, '/devices', (a) => [
          ...a,
          device({ device: id('a'), name: 'Laptop', online: true }),
        ]);
      },
      act: async (page) => {
        if (await page.locator('.came .btn.danger').isVisible()) await press('.came .btn.danger')(page);
      },
    },
    {
      name: 'damaged',
      path: room,
      ready: '.damaged',
      mock: async (page) => {
        await listed(page, club, { damaged: 'a row does not open', last_message: null, unread: 0 });
        const problem = { code: 'home_damaged', detail: 'the room can not be read', hint: '' };
        await answer(page, 'GET', `/rooms/${club}`, problem, 500);
        await answer(page, 'GET', `/rooms/${club}/messages`, problem, 500);
      },
    },
    waits('approval', 2),
    waits('relay'),
    waits('looking'),
    waits('ended'),
    {
      name: 'join-refused',
      path: '#/',
      ready: '.row',
      act: join,
    },
    {
      name: 'join-camera',
      path: '#/',
      ready: '.row',
      act: async (page) => {
        await press('.list header button', '[role=menu]')(page);
        await press('[role=menuitem]:has(.lucide-link)')(page);
        await page.locator('dialog button:has(.lucide-camera)').click();
        await page.locator('dialog video').waitFor();
      },
    },
    {
      name: 'joins',
      path: '#/',
      ready: '.join',
      mock: (page) =>
        joins(
          page,
          { room: id('f'), step: 'approval', members: 2, since: ago(3) },
          { room: id('e'), step: 'ended', members: 0, since: ago(30), problem: refused() },
        ),
    },
    {
      name: 'joins-cancel',
      path: '#/',
      ready: '.join',
      mock: (page) =>
        change<Json>(page, '/status', (a) => ({ ...a, joins: [{ room: id('f'), step: 'relay', since: ago(3) }] })),
      act: async (page) => {
        await press('.join')(page);
        await press('dialog footer .danger')(page);
      },
    },
    {
      name: 'joins-ended',
      path: '#/',
      ready: '.join',
      mock: (page) =>
        joins(page, {
          room: id('e'),
          step: 'ended',
          members: 0,
          since: ago(31),
          problem: refused({ message: 'refused by a moderator', reason_code: 'declined', hint: 'ask them' }),
        }),
      act: press('.join'),
    },
    {
      name: 'requests',
      path: info,
      ready: 'aside section li .btn.primary',
      mock: (page) => asks(page, club),
    },
    { name: 'requests-banner', path: room, ready: '.banner', mock: (page) => asks(page, club) },
    {
      name: 'missing',
      path: room,
      ready: '.banner',
      mock: async (page) => {
        const sync = { room: club, have: 120, want: 480, done: false, asking: true, early: 3 };
        await change<{ rooms: Json[] }>(page, '/status', (a) => ({ ...a, rooms: [sync] }));
        await items(page, (list) => list.map((m, i) => (i < 3 ? { ...m, early: true } : m)));
      },
    },
    {
      name: 'not-safe',
      path: room,
      ready: '.banner',
      mock: (page) => of(page, { safe: false, why_not_code: 'keys_not_made', why_not: 'keys are not made' }),
    },
    {
      name: 'other-number',
      path: `#/room/${direct}`,
      ready: '.banner.bad',
      mock: (page) =>
        change<Json[]>(page, '/contacts', (a) =>
          a.map((c) => (c.account === bob ? { ...c, changed_at: ago(1), verified: false } : c)),
        ),
    },
    {
      name: 'writing',
      path: room,
      ready: '.placed article',
      mock: noDraft,
      act: async (page) => {
        await page.locator('article .bubble').last().click({ button: 'right' });
        await page.locator('[role=menuitem]:has(.lucide-reply)').click();
        await page.locator('.composer input[type=file]').setInputFiles([
          { name: 'sea.png', mimeType: 'image/png', buffer: picture(320, 200) },
          {
            name: 'a very long name of a file about everything.pdf',
            mimeType: 'application/pdf',
            buffer: Buffer.alloc(9_000, 1),
          },
        ]);
        await page.locator('.composer textarea').fill('Two lines,\nand somebody is called: ');
        await page.locator('.composer textarea').press('End');
        await page.locator('.composer textarea').pressSequentially('@');
        await page.locator('.suggest li').first().waitFor();
      },
    },
    {
      name: 'editing',
      path: room,
      ready: '.placed article',
      mock: noDraft,
      act: async (page) => {
        await page.locator('.composer textarea').press('ArrowUp');
        await page.locator('.composer .context').waitFor();
      },
    },
    {
      name: 'sending',
      path: room,
      ready: '.placed article',
      mock: async (page) => {
        await noDraft(page);
        await page.route(at(`/rooms/${club}/messages`), (route) => {
          if (route.request().method() !== 'POST') return route.fallback();
          const { text } = route.request().postDataJSON() as { text: string };
          const problem = { code: 'not_permitted', detail: 'not permitted' };
          if (text.startsWith('refused')) return route.fulfill({ status: 403, json: problem });
          if (text.startsWith('kept')) return route.fulfill({ json: { message: '00112233', status: 'queued' } });
          return route.abort();
        });
      },
      act: async (page) => {
        for (const text of ['refused: nobody may say this', 'kept until the room has keys', 'waits for the node']) {
          await page.locator('.composer textarea').fill(text);
          await page.locator('.composer textarea').press('Enter');
          await page.locator('article', { hasText: text }).locator('.why, p.failed').last().waitFor();
        }
        await page.waitForTimeout(300);
      },
    },
    {
      name: 'pictures-broken',
      path: `${info}/files`,
      ready: 'aside .grid .file',
      mock: (page) => page.route(/\/files\/\d+$/, (route) => route.fulfill({ contentType: 'image/png', body: 'x' })),
    },
    {
      name: 'failed',
      path: room,
      ready: '.placed article p.failed',
      mock: async (page) => {
        const me = (await (
          await page.request.get(`${scene.alice.api}/api/v1/status`, {
            headers: { Authorization: `Bearer ${scene.alice.token}` },
          })
        ).json()) as { account: string };
        await items(page, (list) =>
          list.map((m, i) => {
            const own = (m.author as Json).account === me.account;
            if (own && i < 6)
              return { ...m, status: i < 3 ? 'failed' : 'queued', reason: 'x', reason_code: 'unreachable' };
            return i === 4 ? { ...m, unsafe_epoch: true } : m;
          }),
        );
      },
    },
    {
      name: 'toasts',
      path: room,
      ready: '.placed article',
      mock: (page) =>
        page.route(/\/reaction$/, (route) =>
          route.fulfill({ status: 403, json: { code: 'not_permitted', detail: 'x', hint: 'ask an owner' } }),
        ),
      act: async (page) => {
        await page.locator('article .bubble').last().click({ button: 'right' });
        await page.locator('[role=menuitem]:has(.lucide-copy)').click();
        await page.locator('article .bubble').last().click({ button: 'right' });
        await page.locator('[role=menuitem]:has(.lucide-face-slightly-smiling)').click();
        await page.locator('.picker .recent button').first().click();
        await page.locator('.toast.bad').waitFor();
      },
    },
    {
      name: 'members',
      path: info,
      ready: 'aside .listed li',
      mock: (page) =>
        change<{ people: Json[] }>(page, `/rooms/${club}`, (a) => ({
          ...a,
          members: 6,
          people: [
            ...a.people.map((p, i) => (i === 1 ? { ...p, verified: true, role: 'moderator' } : p)),
            { ...a.people[2], account: id('c'), name: LONG, role: 'moderator', picture: null, verified: true },
            { ...a.people[2], account: id('d'), name: 'Dora', not_here_yet: true, online: false, presence: 'offline' },
            {
              ...a.people[2],
              account: id('e'),
              name: 'Emil',
              role: 'observer',
              devices: [{ device: id('e'), name: '', online: false, contradicts_itself: true }],
            },
          ],
          banned: [{ account: id('9'), name: 'Mallory', by: { account: bob, name: 'Bob Berger' }, at: ago(30) }],
        })),
      act: async (page) => {
        await page.locator('aside section:has(.listed) summary').first().click();
        await page
          .locator('aside section:has(.listed) h3')
          .first()
          .evaluate((h) => h.scrollIntoView());
      },
    },
    {
      name: 'member-menu',
      path: info,
      ready: 'aside .listed li',
      act: press('aside .listed button:has(.lucide-ellipsis)', '[role=menu]'),
    },
    {
      name: 'member-remove',
      path: info,
      ready: 'aside .listed li',
      act: async (page) => {
        await press('aside .listed button:has(.lucide-ellipsis)', '[role=menu]')(page);
        await press('[role=menuitem]:has(.lucide-ban)')(page);
      },
    },
    {
      name: 'message-delete',
      path: room,
      ready: '.placed article',
      act: ownMenu('trash'),
    },
    {
      name: 'pinned',
      path: info,
      ready: 'aside .ways',
      mock: async (page) => {
        const list = await page.request.get(`${scene.alice.api}/api/v1/rooms/${club}/messages?limit=5`, {
          headers: { Authorization: `Bearer ${scene.alice.token}` },
        });
        await answer(page, 'GET', `/rooms/${club}/pins`, ((await list.json()) as { items: Json[] }).items);
      },
      act: press('aside .ways button:has(.lucide-pin)'),
    },
    { name: 'search-none', path: '#/search?q=zeppelin', ready: '.empty' },
    {
      name: 'rooms-none',
      path: '#/',
      ready: '.row',
      act: async (page) => {
        await page.locator('.list .find input').fill('zeppelin');
        await page.locator('.list .empty').waitFor();
      },
    },
    {
      name: 'room-menu',
      path: '#/',
      ready: '.row',
      act: async (page) => {
        await page.locator('.row').nth(1).click({ button: 'right' });
        await page.locator('[role=menu]').waitFor();
      },
    },
    {
      name: 'palette-none',
      path: room,
      ready: '.placed article',
      act: async (page) => {
        await page.keyboard.press('Control+k');
        await page.locator('dialog input').fill('zeppelin');
        await page.locator('dialog [role=option]').first().waitFor();
      },
    },
    {
      name: 'token-made',
      path: '#/settings/sessions',
      ready: '.group li',
      mock: (page) =>
        answer(page, 'POST', '/tokens', {
          token: id('5'),
          id: 't1',
          name: 'Bot',
          scope: ['send'],
          rooms: [],
          made_at: ago(0),
        }),
      act: async (page) => {
        await press('.group:nth-of-type(2) > .btn')(page);
        await page.locator('dialog input').first().fill('Bot');
        await page.locator('dialog button[type=submit]').click();
        await page.locator('dialog .notice, dialog [readonly]').first().waitFor();
      },
    },
    {
      name: 'lock',
      path: '#/settings/privacy',
      ready: '.group [role=switch], .group [role=radio], .group input',
      mock: (page) => change(page, '/web', (a) => ({ ...a, passphrase: true })),
      act: (page) => page.locator('.detail').evaluate((d) => d.scrollTo(0, d.scrollHeight)),
    },
    {
      name: 'removed',
      path: room,
      ready: '.closed',
      mock: async (page) => {
        const gone = { at: ago(2), banned: true, by: { account: bob, name: 'Bob Berger' }, text: '' };
        await listed(page, club, { role: 'removed', gone, unread: 0 });
        await of(page, { role: 'removed', gone, safe: false });
      },
    },
    {
      name: 'groups',
      path: '#/people',
      ready: '.ask',
      mock: (page) =>
        answer(page, 'GET', '/groups', [
          {
            room: id('7'),
            name: 'Choir',
            at: ago(5),
            by: { account: id('6'), name: LONG },
            why: 'no_contact',
            people: ['Bob Berger', 'Carol', 'Dora'].map((name, i) => ({
              account: id(String(i)),
              name,
              blocked: false,
              contact: true,
              state: 'invited',
            })),
          },
        ]),
    },
    {
      name: 'long-names',
      path: room,
      ready: '.placed article',
      mock: async (page) => {
        const name = `${LONG} and friends of the old theatre by the river`;
        await change<Json[]>(page, '/rooms', (a) =>
          a.map((r, i) => ({
            ...r,
            name: i === 0 ? LONG : name,
            unread: i * 700,
            mentions: i,
            attention: { muted: i === 2, pinned: i === 3, archived: false, level: 'all' },
            draft: i === 3,
          })),
        );
        await of(page, { name, about: 'x '.repeat(90) });
        await items(page, (list) =>
          list.map((m, i) => ({
            ...m,
            author: { ...(m.author as Json), name: LONG },
            ...(m.kind === 'text' &&
              (m.files as Json[]).length === 0 && {
                formatted: undefined,
                text: [
                  'https://example.org/a/very/long/address/that/goes/on/and/on/without/any/place/to/break/it?query=yes&another=no',
                  'שלום לכולם, זה כיוון אחר',
                  'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen'.repeat(2),
                  'ok',
                ][i % 4],
              }),
            files: (m.files as Json[]).map((f) => ({ ...f, name: `${LONG}-${LONG}.pdf` })),
          })),
        );
      },
    },
    {
      name: 'missing-left',
      path: room,
      ready: '.banner',
      mock: (page) =>
        change<Json>(page, '/status', (a) => ({
          ...a,
          rooms: [{ room: club, name: '', peers: 0, have: 120, want: 48, done: false, asking: false, early: 0 }],
        })),
    },
    {
      name: 'outbox',
      path: '#/settings/connection',
      ready: '.group .what > a',
      mock: async (page) => {
        await change<Json>(page, '/status', (a) => ({ ...a, outbox: 5, relays: RELAYS }));
        await answer(page, 'GET', '/outbox', waiting(club));
      },
      act: (page) => page.locator('.group:has(.what)').evaluate((group) => group.scrollIntoView({ block: 'start' })),
    },
    {
      name: 'relay-trouble',
      path: '#/settings/connection',
      ready: '.group li',
      mock: (page) => change<Json>(page, '/status', (a) => ({ ...a, relays: RELAYS })),
      act: (page) => page.locator('.detail').evaluate((d) => d.scrollTo(0, d.scrollHeight)),
    },
    {
      name: 'connection-end',
      path: '#/settings/connection',
      ready: '.group li',
      act: (page) => page.locator('.detail').evaluate((d) => d.scrollTo(0, d.scrollHeight)),
    },
    {
      name: 'profile-end',
      path: '#/settings/profile',
      ready: '.picture .avatar img',
      act: (page) => page.locator('.detail').evaluate((d) => d.scrollTo(0, d.scrollHeight)),
    },
  ];
}

const RELAYS = [
  {
    address: `/dns/relay.example/tcp/4001/p2p/${id('a')}`,
    connected: true,
    error: 'the box is full',
    error_code: 'box_full',
  },
  {
    address: '/ip4/192.0.2.7/udp/4001/quic-v1',
    connected: false,
    waiting: 3,
    error: 'dial failed',
    error_code: 'unreachable',
  },
];

/** One of each kind that waits to go out. */
function waiting(room: string): Json[] {
  const kinds = [
    { kind: 'text', text: `${LONG} `.repeat(3) },
    { kind: 'edit', text: 'On Wednesday, not on Tuesday', about: id('3') },
    { kind: 'reaction', text: '👍', about: id('3') },
    { kind: 'deletion', about: id('3') },
    { kind: 'file', text: `${LONG}.pdf` },
  ];
  const rest = { room, attempts: 2, status: 'queued', reason: '', reason_code: 'unreachable', queued_at: ago(1) };
  return kinds.map((kind, i) => ({ ...rest, ...kind, message: id(String(i)) }));
}

/** Two who wait to be let in. */
function asks(page: Page, club: string): Promise<unknown> {
  return answer(page, 'GET', `/rooms/${club}/requests`, [
    { account: id('1'), name: 'Dora', role: 'member', asked_at: ago(2), devices: [] },
    { account: id('2'), name: LONG, role: 'observer', asked_at: ago(50), devices: [] },
  ]);
}
