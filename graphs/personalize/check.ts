/** Says what is wrong with a draft, without a model: statements that no field supports, placeholders, links, lengths. */

import type { TemplateText } from '../../src/resources/personalization/ports.ts';
import type { Claim, Commonality, Draft, Facts } from './state.ts';

export const SUBJECT_LIMIT = 200;
export const BODY_LIMIT = 10_000;

export interface CheckInput {
  draft: Draft;
  facts: Facts;
  sender: Facts;
  template: TemplateText | null;
  /** What the workspace's own people wrote: instructions and guidance. Names in it may be used. */
  words: string;
}

// All repetitions are bounded: what is checked was written by others, and must not cost more than its length.
const PLACEHOLDER =
  /\{\{[^{}]*\}\}|\{\{|\}\}|\[(?:your|first|last|full|insert|company|name)\b[^\]]{0,100}\]/i;
const LINK =
  /\b(?:[a-z][a-z0-9+.-]{0,30}:\/\/|mailto:|www\.)[\p{L}\p{N}[]\S*|[^\s@<>"]{1,64}@[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63}){1,8}|\b(?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|io|co|ai|app|dev|info|biz|me|ly|gg|xyz|site|online|shop|link|eu|uk|de|fr|es|it|nl|us|ca)\b(?:\/\S*)?/giu;
/** A sentence that speaks to the lead. */
const ADDRESSED = /\b(?:you|your|yours|you're|you've)\b/i;
/** Words by which a mail claims to have learnt something of the lead. */
const LEARNT =
  /\b(?:i|we)(?:['’]ve| have)? (?:(?:just|also|recently) )?(?:noticed|saw|seen|read|heard|learned|learnt|came across|come across)\b|\b(?:impress|congrat|admir)/i;
/** Events that are invented most often; each must stand in what the writer was given. */
const EVENTS =
  /\b(?:congrat\w*|funding|fundraise|raised|series [a-e]\b|acquired|acquisition|merger|ipo\b|awards?|launched|podcasts?|articles?|interviewed|keynote|webinars?|promoted|promotion|hiring|expanded|expansion|recent(?:ly)?)\b/gi;
/** Capitalised words that name nobody. */
const COMMON =
  /^(?:i|i'm|i'd|i'll|i've|monday|tuesday|wednesday|thursday|friday|saturday|sunday|january|february|march|april|may|june|july|august|september|october|november|december)$/i;

/** What is wrong with the draft, a sentence each; empty where it holds. */
export function checkDraft({ draft, facts, sender, template, words }: CheckInput): string[] {
  const { subject, body, claims } = draft;
  const mail = `${subject}\n${body}`;
  const faults: string[] = [];
  if (subject.trim() === '' || /\p{Cc}/u.test(subject)) faults.push('The subject must be one line of text.');
  if (subject.length > SUBJECT_LIMIT) faults.push(`The subject is longer than ${SUBJECT_LIMIT} characters.`);
  if (body.trim() === '') faults.push('The body is empty.');
  if (body.length > BODY_LIMIT) return [...faults, `The body is longer than ${BODY_LIMIT} characters.`];
  const placeholder = PLACEHOLDER.exec(mail)?.[0];
  if (placeholder !== undefined) faults.push(`The placeholder ${placeholder} is not filled.`);

  for (const claim of claims) {
    const fault = citationFault(claim, facts);
    if (fault !== null) faults.push(fault);
    else if (!holds(mail, claim.quote)) faults.push(`The quote "${claim.quote}" does not stand in the mail.`);
  }

  const ours = [...Object.values(sender), template?.subject ?? '', template?.body ?? ''].join('\n');
  const allowed = new Set(linksIn(ours));
  // A company may be called like a domain; its bare name is no link of a stranger's choice.
  if (facts.company !== undefined) allowed.add(facts.company.toLowerCase());
  for (const link of linksIn(mail)) {
    if (!allowed.has(link)) faults.push(`The link or address ${link} is not in the sender's data.`);
  }

  const known = plain([ours, words, ...Object.values(facts)].join('\n'));
  for (const sentence of sentencesOf(body)) faults.push(...statementFaults(sentence, known, claims));
  return [...new Set(faults)];
}

/** Whether the commonality cites a filled field, in words that stand there and in its text, and says nothing beyond. */
export function supports({ text, field, quote }: Commonality, facts: Facts, sender: Facts): boolean {
  if (citationFault({ field, quote }, facts) !== null || !holds(text, quote)) return false;
  const known = plain([...Object.values(facts), ...Object.values(sender)].join('\n'));
  return statementFaults(text, known, [{ field, quote }]).length === 0;
}

/** Why a citation supports nothing; null where the quote stands in a filled field of the lead. */
function citationFault({ field, quote }: Claim, facts: Facts): string | null {
  const value = Object.hasOwn(facts, field) ? (facts[field] ?? '') : '';
  if (value.trim() === '') return `The lead has no field "${field}" that could support a statement.`;
  if (!holds(value, quote)) return `The field "${field}" does not say "${quote}".`;
  return null;
}

/** Links and addresses in the text, without what makes no other link of them (`https://`, `www.`, a closing slash). */
export function linksIn(text: string): string[] {
  return [...text.matchAll(LINK)].map(([link]) =>
    link
      .toLowerCase()
      .replace(/^(?:[a-z][a-z0-9+.-]*:\/\/|mailto:)?(?:www\.)?/, '')
      .replace(/[.,;:!?)\]>'"/]+$/, ''),
  );
}

/** What a sentence states that nothing given (`known`, plain) supports. Questions state nothing. */
function statementFaults(sentence: string, known: string, claims: readonly Claim[]): string[] {
  if (sentence.endsWith('?')) return [];
  const shown = sentence.slice(0, 200);
  const faults: string[] = [];
  if (LEARNT.test(sentence) && !claims.some((claim) => holds(sentence, claim.quote))) {
    faults.push(`Nothing is cited for the statement "${shown}".`);
  }
  // Names are told by their capitals in English only, and a sentence that is not addressed to anybody may be in any language.
  const names = ADDRESSED.test(sentence) ? namesIn(sentence) : [];
  for (const word of new Set([...names, ...(sentence.match(EVENTS) ?? [])])) {
    if (!known.includes(plain(word)))
      faults.push(`Nothing given says "${word}", but the mail does: "${shown}"`);
  }
  return faults;
}

/** Figures, and words whose capital is not owed to the beginning of the sentence. */
function namesIn(sentence: string): string[] {
  const words = sentence.match(/[\p{L}\p{N}][\p{L}\p{N}'’.,%]*/gu) ?? [];
  return words
    .map((word) => word.replace(/[.,'’]+$/u, '').replace(/['’]s$/u, ''))
    .filter((word, index) => /\p{N}/u.test(word) || (index > 0 && /^\p{Lu}/u.test(word)))
    .filter((word) => !COMMON.test(word.replaceAll('’', "'")));
}

function sentencesOf(body: string): string[] {
  return body
    .split(/(?<=[.!?])\s+|\n+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '');
}

/** Whether the words stand in the text one after another, ignoring case, spacing and punctuation. */
export function holds(text: string, words: string): boolean {
  const wanted = plain(words);
  return wanted.trim() !== '' && plain(text).includes(wanted);
}

/** The words alone, a blank before and after each. */
function plain(text: string): string {
  return ` ${text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()} `;
}
