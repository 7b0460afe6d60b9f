/** Not mailing someone any more. */

import { answeredWith, findLeads } from '../find-leads.ts';
import { defineIntent } from '../intent.ts';
import { type People, readPeople, splitAddresses } from '../people.ts';
import { because, inline, paragraphs, trouble } from '../replies.ts';
import { type Outcome, type Row, type Turn, textAt } from '../scene.ts';
import { AT_ONCE, atOnceNote } from './sending.ts';

interface Wanted {
  people: readonly People[];
  /** Why, in the person's words. */
  reason?: string;
}

const MAILS = '(?:e-?mails?|mails?|messages?|anything)';
const TO_MAIL = `(?:e-?mail|mail|message|contact|write(?: to)?|bother|send ${MAILS} to)`;
const MAILING = `(?:e-?mailing|mailing|messaging|contacting|writing(?: to)?|bothering|sending (?:any )?(?:more )?(?:${MAILS} )?to)`;
const LIST =
  '(?:suppression|do[- ]not[- ](?:contact|mail|e-?mail)|unsubscribed?|block|opt[- ]out|mailing|mail)';
const SUPPRESS = [
  `stop (?:all )?${MAILING} (.+)`,
  `(?:never|do not|don't|no longer)(?: ever)? ${TO_MAIL} (.+)`,
  `no more ${MAILS} (?:to|for) (.+)`,
  '(?:unsubscribe|suppress|block|blacklist|blocklist|opt out) (.+?)(?: from .*(?:mails?|list))?',
  'opt (.+) out',
  `(?:add|put) (.+) (?:to|on|onto) (?:the|my|our|a) ${LIST}[- ]?list`,
  `(?:remove|take) (.+) (?:from|off) (?:the|my|our|all|any|every) (?:${LIST}[- ]?lists?|mailings?)`,
  `(.+) (?:wants|want) no (?:more )?${MAILS}`,
].map((pattern) => new RegExp(`^${pattern}$`, 'i'));
const AGAIN = /\s+(?:again|any ?more|ever(?: again)?|at all)$/i;
const REASON = /[\s,;]+(?:because|since|as|:)\s+(.+)$/i;

export const suppressionIntents = [
  defineIntent<Wanted>({
    example: 'Stop mailing NAME or ADDRESS',
    tools: ['suppress_email'],
    read: (scene) => readWanted(scene.turn) ?? answeredWith(scene, readWanted),
    next({ people, reason }, scene) {
      // An address is taken from the person's own words: it need not be a lead's.
      const { addresses, others } = splitAddresses(people);
      const found = findLeads(others, scene);
      if (found.step) return found.step;
      const all: Row[] = [
        ...addresses.map((email) => ({ email })),
        ...found.leads.map((lead) => ({ lead_id: textAt(lead, 'lead_id') })),
      ];
      const names = [...addresses, ...found.leads.map((lead) => textAt(lead, 'email'))];
      const calls = all
        .slice(0, AT_ONCE)
        .map((args) => ({ name: 'suppress_email', args: reason ? { ...args, reason } : args }));
      const notes = paragraphs(...found.notes, atOnceNote(all.length));
      const outcomes = scene.outcomes('suppress_email');
      if (outcomes.length < calls.length) return { text: notes, toolCalls: calls.slice(outcomes.length) };
      if (calls.length === 0) return { text: notes };
      return { text: outcomes.map((outcome, index) => report(outcome, names[index] ?? '')).join('\n\n') };
    },
  }),
];

function readWanted({ said }: Pick<Turn, 'said'>): Wanted | undefined {
  const reason = REASON.exec(said)?.[1];
  const words = said.replace(REASON, '').replace(AGAIN, '');
  for (const pattern of SUPPRESS) {
    const phrase = pattern.exec(words)?.[1]?.replace(AGAIN, '');
    if (phrase) return { people: readPeople(phrase, 'name'), ...(reason && { reason }) };
  }
  return undefined;
}

function report(outcome: Outcome, name: string): string {
  if (outcome.status === 'ok') {
    const address = inline(textAt(outcome.result, 'email') || name);
    return outcome.result.already === true
      ? `${address} was on the suppression list already and is not mailed.`
      : `${address} is on the suppression list now and is not mailed any more.`;
  }
  if (outcome.status === 'error') return trouble(`stop the mails to ${inline(name)}`, outcome);
  const whose = outcome.how === 'rejected' ? 'You rejected it' : `The approval was ${outcome.how}`;
  return `${whose}${because(outcome.reason)}, so ${inline(name)} is not on the suppression list.`;
}
