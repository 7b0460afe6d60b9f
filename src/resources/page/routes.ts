/** The chat page at `/`, and the widget for other people's pages at `/embed.js`. */

import { Readable } from 'node:stream';
import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { type Answer, type Route, route } from '../../http/route.ts';
import type { PageFile, PageFiles } from './files.ts';

/** Only our own files run, only our own service is asked; nothing is embedded, framed, or made of text (ui checks 1, 15). */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const PAGE_HEADERS = {
  'content-security-policy': PAGE_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  // The file names in it change with every build; it is asked for each time, and is a 304 most times.
  'cache-control': 'no-cache',
};
const ASSET_HEADERS = { 'cache-control': 'public, max-age=31536000, immutable' };
const ICON_HEADERS = { 'cache-control': 'public, max-age=3600' };
/** Other origins' pages load it by a script element. */
const EMBED_HEADERS = { 'cache-control': 'no-cache', 'cross-origin-resource-policy': 'cross-origin' };

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Overture</title>
<p>The page is not built: this installation lacks its build tool. Run "npm ci" and "npm run build" where the
development dependencies are installed, and bring web/dist here. The API works: see <a href="/docs">/docs</a>.</p>
`;

/** Makes the routes; `files` is null where the page is not built, which it then says. */
export function createPageRoutes(files: PageFiles | null): Route[] {
  const tag = 'page';
  const answers = { 200: 'text', 304: 'empty' } as const;

  function page(header: (name: string) => string | undefined): Answer {
    const file = files?.get('index.html');
    if (file === undefined) {
      return {
        status: 503,
        body: NOT_BUILT,
        headers: { ...PAGE_HEADERS, 'content-type': 'text/html; charset=utf-8' },
      };
    }
    return answerFile(file, header, PAGE_HEADERS);
  }

  const pageRoute = (path: string, operation: string, summary: string, params?: z.ZodType) =>
    route({
      method: 'GET',
      path,
      operation,
      tag,
      summary,
      access: 'public',
      ...(params === undefined ? {} : { params }),
      answers,
      handle: async ({ header }) => page(header),
    });

  return [
    pageRoute('/', 'getPage', 'The chat page'),
    pageRoute('/approvals', 'getInboxPage', 'The chat page, at the approvals that wait'),
    pageRoute(
      '/t/{place}',
      'getConversationPage',
      'The chat page, at one conversation',
      z.object({ place: z.string() }),
    ),
    route({
      method: 'GET',
      path: '/assets/{file}',
      operation: 'getPageAsset',
      tag,
      summary: 'A file of the chat page',
      access: 'public',
      params: z.object({ file: z.string().regex(/^[\w.-]+$/) }),
      answers,
      async handle({ params, header }) {
        const file = files?.get(`assets/${params.file}`);
        if (file === undefined)
          throw new ServiceError('NOT_FOUND', 'There is no such file. Reload the page.');
        return answerFile(file, header, params.file.startsWith('favicon') ? ICON_HEADERS : ASSET_HEADERS);
      },
    }),
    route({
      method: 'GET',
      path: '/embed.js',
      operation: 'getEmbedScript',
      tag,
      summary: 'The chat as a custom element for other pages: <overture-chat>',
      access: 'public',
      answers,
      async handle({ header }) {
        const file = files?.get('embed.js');
        if (file === undefined)
          throw new ServiceError('NOT_FOUND', 'The widget is not built. Run "npm run build".');
        return answerFile(file, header, EMBED_HEADERS);
      },
    }),
  ];
}

function answerFile(
  file: PageFile,
  header: (name: string) => string | undefined,
  headers: Record<string, string>,
): Answer {
  const common = { ...headers, etag: file.tag, vary: 'Origin, Accept-Encoding' };
  const known = (header('if-none-match') ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (known.includes(file.tag)) return { status: 304, headers: common };
  const packed = /\bgzip\b/.test(header('accept-encoding') ?? '');
  const body = packed ? file.gzip : file.body;
  return {
    status: 200,
    stream: Readable.from([body]),
    headers: {
      ...common,
      'content-type': file.type,
      'content-length': String(body.length),
      ...(packed ? { 'content-encoding': 'gzip' } : {}),
    },
  };
}
