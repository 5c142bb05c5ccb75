// The committed types and the API description belong together.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('the types are those of the API description; `npm run types` makes them anew', () => {
  const description = readFileSync('../docs/spec/openapi.json');
  const types = readFileSync('src/api/schema.d.ts', 'utf8');
  expect(types.slice(0, 200)).toContain(createHash('sha256').update(description).digest('hex'));
});
