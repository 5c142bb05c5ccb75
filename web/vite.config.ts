import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Where a node listens, for development: `PARLOR_API=http://127.0.0.1:PORT npm run dev`. */
const api = process.env.PARLOR_API;

/** Beside every text file of the built page its Brotli form, so that the node serves it without a compressor. */
function brotli(): Plugin {
  let out = 'dist';
  return {
    name: 'parlor-brotli',
    apply: 'build',
    configResolved(config) {
      out = config.build.outDir;
    },
    closeBundle() {
      for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg|json|webmanifest)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = readFileSync(path);
        writeFileSync(
          `${path}.br`,
          brotliCompressSync(bytes, {
            params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
          }),
        );
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte(), brotli()],
  base: '/',
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: true,
  },
  worker: { format: 'es' },
  resolve: process.env.VITEST ? { conditions: ['browser'] } : {},
  server: {
    host: '127.0.0.1',
    ...(api && {
      proxy: {
        '/api': {
          target: api,
          changeOrigin: true,
          ws: true,
          configure: (proxy) => {
            // The node refuses what another page sends; here Vite's page stands for the node's own.
            const own = (request: { removeHeader(name: string): void }): void => {
              request.removeHeader('origin');
              request.removeHeader('sec-fetch-site');
            };
            proxy.on('proxyReq', own);
            proxy.on('proxyReqWs', own);
          },
        },
      },
    }),
  },
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts'] },
});
