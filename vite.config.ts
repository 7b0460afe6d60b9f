/** How the page is built: `vite build` for the page, `vite build --mode embed` for the widget (embed.js). */

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** Where the service is while `npm run dev` serves the page. */
const SERVICE = 'http://127.0.0.1:8080';

export default defineConfig(({ mode }) => ({
  root: 'web',
  plugins: [react()],
  server: {
    port: 5173,
    strictPort: true,
    host: '127.0.0.1',
    proxy: {
      '/api': {
        target: SERVICE,
        changeOrigin: true,
        configure(proxy) {
          // The service answers its own page only; of this server's page it cannot know. Any other origin stays refused.
          proxy.on('proxyReq', (request, incoming) => {
            if (incoming.headers.origin === `http://${incoming.headers.host}`)
              request.setHeader('origin', SERVICE);
          });
        },
      },
    },
  },
  ...(mode === 'embed'
    ? {
        publicDir: false as const,
        resolve: {
          alias: {
            react: 'preact/compat',
            'react-dom/client': 'preact/compat/client',
            'react-dom': 'preact/compat',
          },
        },
        build: {
          outDir: 'dist',
          emptyOutDir: false,
          lib: {
            entry: 'embed.tsx',
            formats: ['iife' as const],
            name: 'Overture',
            fileName: () => 'embed.js',
          },
        },
      }
    : {
        build: { outDir: 'dist', emptyOutDir: true, modulePreload: { polyfill: false } },
      }),
}));
