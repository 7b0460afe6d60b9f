/** The links in mails: a page that asks, and the one click that needs no page (RFC 8058). */

import { z } from 'zod';
import { type Answer, type Route, route } from '../../http/route.ts';
import type { Unsubscribe } from './unsubscribe.ts';

const tag = 'unsubscribe';
const params = z.object({ token: z.string().max(200) });

export function createUnsubscribeRoutes(unsubscribe: Unsubscribe): Route[] {
  return [
    route({
      method: 'GET',
      path: '/unsubscribe/{token}',
      operation: 'showUnsubscribe',
      tag,
      summary: 'Show the page that asks whether to unsubscribe; opening it changes nothing',
      access: 'public',
      params,
      answers: { 200: 'text' },
      async handle({ params }) {
        unsubscribe.check(params.token);
        return page(
          'Unsubscribe',
          `<p>Do you want to receive no more mails from this sender?</p>
<form method="post"><button type="submit">Unsubscribe</button></form>`,
        );
      },
    }),
    route({
      method: 'POST',
      path: '/unsubscribe/{token}',
      operation: 'unsubscribe',
      tag,
      summary: 'Unsubscribe the address that the mail with this link went to',
      access: 'public',
      params,
      answers: { 200: 'text' },
      async handle({ params }) {
        await unsubscribe.confirm(params.token);
        return page('Unsubscribed', '<p>You will receive no more mails from this sender.</p>');
      },
    }),
  ];
}

function page(title: string, content: string): Answer {
  return {
    status: 200,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
      'x-robots-tag': 'noindex',
    },
    body: `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}button{font:inherit;padding:.5rem 1rem}</style>
</head><body><h1>${title}</h1>
${content}
</body></html>
`,
  };
}
