import { defineConfig } from 'vitest/config';

/** Measurements in a real browser: `npm run measure`, `cargo xtask bench web`. */
export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['e2e/measure.ts'],
    environment: 'node',
    testTimeout: 4 * 3_600_000,
    hookTimeout: 3_600_000,
  },
});
