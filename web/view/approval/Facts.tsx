/** The facts of a card: the numbers that decide stand first, everything else is a row. */

import type { Fact } from '../../../src/client/events.ts';
import { layOut, mailboxOf } from '../../logic/facts.ts';

/** A longer value is a list that opens. */
const LONG = 160;

export function Facts({ facts, before }: { facts: readonly Fact[]; before: readonly Fact[] | null }) {
  const { headline, rows } = layOut(facts);
  const changed = (fact: Fact) =>
    before !== null && before.find((one) => one.label === fact.label)?.value !== fact.value;
  return (
    <div className="facts">
      {headline.length === 0 ? null : (
        <dl className="headline">
          {headline.map((fact) => (
            <div key={fact.label}>
              <dt>{fact.label}</dt>
              <dd>
                {fact.value}
                {changed(fact) ? <Changed /> : null}
              </dd>
            </div>
          ))}
        </dl>
      )}
      {rows.length === 0 ? null : (
        <dl className="fact-rows">
          {rows.map((fact) => (
            <div key={fact.label}>
              <dt>{fact.label}</dt>
              <dd>
                <Value text={fact.value} />
                {changed(fact) ? <Changed /> : null}
              </dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}

function Changed() {
  return <span className="fact-changed">changed</span>;
}

function Value({ text }: { text: string }) {
  const mailbox = mailboxOf(text);
  if (mailbox !== null) {
    return (
      <>
        {mailbox.name} <span className="fact-address">{mailbox.address}</span>
      </>
    );
  }
  if (text.length <= LONG) return text;
  return (
    <details>
      <summary>{text.slice(0, 70)}…</summary>
      {text}
    </details>
  );
}
