/**
 * How the page is built and, with `npm run dev`, served while it is written: `vite` (the page with hot reload, and the
 * service beside it), `vite build` (the page), `vite build --mode embed` (the widget, embed.js).
 */

import { spawn } from 'node:child_process';
import react from '@vitejs/plugin-react';
import { type BuildOptions, defineConfig, type Plugin, type ServerOptions } from 'vite';

/** Where `npm run dev` runs the service. */
const SERVICE = `http://127.0.0.1:${process.env.PORT ?? '8080'}`;
const WATCHED = ['src', 'graphs', 'prompts', 'migrations'];
const WITH_PREACT = {
  'react/jsx-runtime': 'preact/jsx-runtime',
  'react-dom/client': 'preact/compat/client',
  'react-dom': 'preact/compat',
  react: 'preact/compat',
};

const page: BuildOptions = { outDir: 'dist', emptyOutDir: true, modulePreload: { polyfill: false } };
const widget: BuildOptions = {
  outDir: 'dist',
  emptyOutDir: false,
  lib: { entry: 'embed.tsx', formats: ['iife'], name: 'Overture', fileName: () => 'embed.js' },
};

export default defineConfig(({ mode, command }) => {
  // Whoever starts the build (a test, say) may have another mind; what is built is for people.
  if (command === 'build') process.env.NODE_ENV = 'production';
  const embed = mode === 'embed';
  return {
    root: 'web',
    plugins: [react(), lexerOnly(), serviceBeside()],
    server: devServer,
    publicDir: embed ? false : 'public',
    resolve: { alias: embed ? WITH_PREACT : {} },
    build: embed ? widget : page,
  };
});

const devServer: ServerOptions = {
  port: 5173,
  strictPort: true,
  host: '127.0.0.1',
  proxy: {
    '/api': {
      target: SERVICE,
      changeOrigin: true,
      configure(proxy) {
        // The service answers its own page only, and cannot know of this server's. Any other origin stays refused.
        proxy.on('proxyReq', (request, incoming) => {
          if (incoming.headers.origin !== `http://${incoming.headers.host}`) return;
          request.setHeader('origin', SERVICE);
        });
      },
    },
  },
};

/** Of marked only the lexer is used; what it makes of itself when it is loaded would keep the rest in the page (3 KB packed). */
function lexerOnly(): Plugin {
  return {
    name: 'overture-lexer-only',
    apply: 'build',
    transform(code, id) {
      if (!id.endsWith('/marked/lib/marked.esm.js')) return null;
      const lexer = /(\w+) as Lexer/.exec(code)?.[1];
      const rest = /var \w+=new \w+;function \w+\(\w+,\w+\)\{return \w+\.parse\(/.exec(code);
      if (lexer === undefined || rest === null) return null;
      return { code: `${code.slice(0, rest.index)}export{${lexer} as Lexer};`, map: null };
    },
  };
}

/** Runs the service while the page is served, and starts it anew when its source changes. */
function serviceBeside(): Plugin {
  return {
    name: 'overture-service',
    apply: 'serve',
    configureServer(server) {
      const watch = WATCHED.map((folder) => `--watch-path=${folder}`);
      const service = spawn(process.execPath, [...watch, 'src/main.ts', 'dev'], { stdio: 'inherit' });
      server.httpServer?.once('close', () => service.kill());
      process.once('exit', () => service.kill());
    },
  };
}
