// Drafts reach the node in the order in which they were written, also when it is slow or away.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { again, keep, was } from './drafts';

interface Asked {
  method: string;
  text: string;
  answer: (status?: number) => void;
  fail: () => void;
}
let asked: Asked[];
let n = 0;
let room: string;

beforeEach(() => {
  asked = [];
  room = `room ${++n}`;
  vi.stubGlobal('fetch', async (request: Request) => {
    const body = await request.text();
    return new Promise((resolve, reject) =>
      asked.push({
        method: request.method,
        text: body ? (JSON.parse(body) as { text: string }).text : '',
        answer: () => resolve(new Response(null, { status: 204 })),
        fail: () => reject(new Error('away')),
      }),
    );
  });
});
afterEach(() => vi.unstubAllGlobals());

const said = (): string[] => asked.map((a) => `${a.method} ${a.text}`.trim());
const until = (count: number): Promise<void> => vi.waitFor(() => expect(asked).toHaveLength(count));

test('one at a time: what was sent is not a draft again because an older request came later', async () => {
  keep(room, { text: 'hello', replyTo: null, files: [] });
  await until(1);
  keep(room, { text: 'hello there', replyTo: null, files: [] });
  keep(room, { text: '', replyTo: null, files: [] });
  expect(said()).toEqual(['PUT hello']);
  asked[0]!.answer();
  await until(2);
  expect(said()).toEqual(['PUT hello', 'DELETE']);
});

test('what a node that was away did not take is told again when it is back', async () => {
  keep(room, { text: 'hello', replyTo: null, files: [] });
  await until(1);
  asked[0]!.fail();
  await new Promise((resolve) => setTimeout(resolve));
  again();
  await until(2);
  expect(said()).toEqual(['PUT hello', 'PUT hello']);
  asked[1]!.answer();
});

test('what the node has already is not told again', async () => {
  was(room, { text: 'from another window', replyTo: null, files: [] });
  keep(room, { text: 'from another window', replyTo: null, files: [] });
  keep(room, { text: 'mine', replyTo: null, files: [] });
  await until(1);
  expect(said()).toEqual(['PUT mine']);
});

test('a draft that was cleared is taken away also when the last words of it were not taken', async () => {
  was(room, { text: 'old', replyTo: null, files: [] });
  keep(room, { text: 'old and more', replyTo: null, files: [] });
  await until(1);
  asked[0]!.fail();
  await new Promise((resolve) => setTimeout(resolve));
  keep(room, { text: '', replyTo: null, files: [] });
  await until(2);
  expect(said().at(-1)).toBe('DELETE');
});
