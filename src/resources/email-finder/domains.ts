/** Domains: which is a company's own, and the form in which they are compared. */

import { z } from 'zod';

/** Where everybody has an address: these say nothing of a company or of its patterns. */
export const SHARED_DOMAINS = [
  'gmail.com',
  'googlemail.com',
  'yahoo.com',
  'ymail.com',
  'outlook.com',
  'hotmail.com',
  'live.com',
  'msn.com',
  'icloud.com',
  'me.com',
  'aol.com',
  'proton.me',
  'protonmail.com',
  'gmx.de',
  'gmx.net',
  'gmx.com',
  'web.de',
  't-online.de',
  'mail.com',
  'mail.ru',
  'yandex.ru',
  'qq.com',
  '163.com',
];

/** A host name of at least two labels, in lower case and without "www.". */
export const domainName = z
  .string()
  .trim()
  .toLowerCase()
  .max(253)
  .transform((name) => name.replace(/^www\./, ''))
  .pipe(
    z.string().regex(/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/, {
      error: 'This is not a domain such as example.com.',
    }),
  );
