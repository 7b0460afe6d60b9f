/** What the facts of a card say in numbers, and which of them are read first. */

import type { Approval, Fact } from '../../src/client/events.ts';

export interface Amounts {
  recipients: number | null;
  credits: number | null;
  balance: number | null;
}

/** Reads the amounts out of the facts, which are labelled text. */
export function amountsOf(facts: readonly Fact[]): Amounts {
  const numbers = (label: RegExp) => {
    const fact = facts.find((one) => label.test(one.label));
    return (fact?.value.match(/\d[\d.,\s]*\d|\d/g) ?? []).map((text) =>
      Number(text.replaceAll(/[.,\s]/g, '')),
    );
  };
  const [recipients = null] = numbers(/^(recipients?|leads?|people)$/i);
  const [credits = null, second = null] = numbers(/^(credits?( to spend)?|cost|price|spend)$/i);
  const [balance = second] = numbers(/^(credit )?balance|available/i);
  return { recipients, credits, balance };
}

/** The sum of several cards: "2 recipients, 40 credits"; empty where there is nothing to count. */
export function sumOf(approvals: readonly Approval[]): string {
  const amounts = approvals.map((approval) => amountsOf(approval.facts));
  const credits = amounts.reduce((sum, one) => sum + (one.credits ?? 0), 0);
  const recipients = amounts.reduce((sum, one, place) => {
    const single = approvals[place]?.tool === 'send_email' ? 1 : 0;
    return sum + (one.recipients ?? single);
  }, 0);
  const words = [
    recipients > 0 ? `${recipients.toLocaleString()} ${recipients === 1 ? 'recipient' : 'recipients'}` : '',
    credits > 0 ? `${credits.toLocaleString()} ${credits === 1 ? 'credit' : 'credits'}` : '',
  ];
  return words.filter((one) => one !== '').join(', ');
}

/** Facts by where they stand: large above the others, one a row, and the words under which the previews stand. */
export interface LaidOut {
  headline: Fact[];
  rows: Fact[];
  caption: string | null;
}

const HEADLINE = [/^recipients$/i, /^credits$/i, /^price$/i, /^first mail$/i];
const CAPTION = 'Shown below';

/** A lone number is no headline: it stands in its row. */
export function layOut(facts: readonly Fact[]): LaidOut {
  const caption = facts.find((fact) => fact.label === CAPTION)?.value ?? null;
  const others = facts.filter((fact) => fact.label !== CAPTION);
  const headline = HEADLINE.flatMap((label) => others.filter((fact) => label.test(fact.label)));
  if (headline.length < 2) return { headline: [], rows: others, caption };
  return { headline, rows: others.filter((fact) => !headline.includes(fact)), caption };
}

/** Whose mail each preview is, of a caption such as "2 mails to the first lead; then 1 mail to a lead taken at random". */
export function captionsOf(caption: string | null): string[] {
  return (caption ?? '').split('; then ').flatMap((words) => {
    const [, count = '0', who = ''] = /^(\d+) mails? to (.+)$/.exec(words) ?? [];
    return Array.from({ length: Number(count) }, () => who);
  });
}

/** `Name <address>` in its two parts; null where the text is something else. */
export function mailboxOf(text: string): { name: string; address: string } | null {
  const [, name, address] = /^"?([^"<]+?)"?\s*<([^<>\s]+)>$/.exec(text) ?? [];
  return name === undefined || address === undefined ? null : { name, address };
}
