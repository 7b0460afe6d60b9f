/** A mail as the recipient would see it: plain text, with whatever was not filled in marked. */

import { Fragment } from 'react';
import type { Preview } from '../../src/client/events.ts';

const PLACEHOLDER = /(\{\{[^{}]*\}\}|\[(?:your|first|last|full|insert|company|name)\b[^\]]{0,100}\])/i;

export function MailView({ mail }: { mail: Preview }) {
  return (
    <div className="mail">
      <dl className="mail-head">
        {mail.from === undefined ? null : <Line name="From" value={mail.from} />}
        {mail.to === undefined ? null : <Line name="To" value={mail.to} />}
        {mail.subject === undefined ? null : <Line name="Subject" value={mail.subject} strong />}
      </dl>
      {mail.body === undefined ? null : (
        <div className="mail-body">
          <Marked text={mail.body} />
        </div>
      )}
    </div>
  );
}

function Line({ name, value, strong = false }: { name: string; value: string; strong?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={strong ? 'strong' : undefined}>
        <Marked text={value} />
      </dd>
    </div>
  );
}

/** The text with unfilled placeholders marked. */
function Marked({ text }: { text: string }) {
  const pieces = text.split(PLACEHOLDER).map((piece, place) => ({ piece, place }));
  return pieces.map(({ piece, place }) =>
    place % 2 === 1 ? <mark key={place}>{piece}</mark> : <Fragment key={place}>{piece}</Fragment>,
  );
}

/** Whether a mail still holds a placeholder. */
export function isUnfilled(mail: Preview): boolean {
  return PLACEHOLDER.test(`${mail.subject ?? ''}\n${mail.body ?? ''}`);
}
