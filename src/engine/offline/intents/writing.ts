/** Writing to people, and sending what was written when that was asked for too. */

import { answeredWith, findLeads } from '../find-leads.ts';
import { defineIntent, type Intent, type Step } from '../intent.ts';
import { type People, readPeople, splitAddresses } from '../people.ts';
import { buildsOn, draftInFull, inline, leadLabel, paragraphs, series, trouble } from '../replies.ts';
import { type Row, rowsAt, type Scene, type Turn, textAt } from '../scene.ts';
import { sameText, tidy, unquote } from '../words.ts';
import { AT_ONCE, atOnceNote, mailOf, sendStep } from './sending.ts';

interface Wanted {
  people: readonly People[];
  send: boolean;
  /** What the email shall say, in the person's words. */
  instructions?: string;
  /** The template's name, as the person said it. */
  template?: string;
  /** The email itself, where the person dictated it in quotes. */
  dictated?: { subject: string; body: string };
}

const MAIL =
  '(?:e-?mails?|mails?|messages?|notes?|letters?|drafts?|lines?|something|outreach|intros?|introductions?)';
const A_MAIL = `(?:(?:an?|the|another|one|some|this|out)\\s+)*(?:[\\w'-]+\\s+){0,3}?${MAIL}`;
const WRITE =
  /^(?:write|draft|compose|prepare|create|craft|generate|personali[sz]e)(?:\s+up)?(?:\s+me(?=\s+(?:an?|the)\s))?(?:\s+(.+))?$/i;
const SEND = /^(?:(?:send|shoot|drop)(?:\s+out)?|(?=(?:to|for)\s))\s*(.+)$/i;
const MAIL_TO =
  /^(?:e-?mail|mail|message|contact|ping|reach out to|get in touch with)\s+(?!details|info)(.+)$/i;
const RECIPIENT = [
  new RegExp(`^(?:${A_MAIL}\\s+)?(?:to|for)\\s+(.+)$`, 'i'),
  new RegExp(`^(.+?)\\s+(?:an?|the|another|some)\\s+(?:[\\w'-]+\\s+){0,3}?${MAIL}$`, 'i'),
];
const ONLY_A_MAIL = new RegExp(`^${A_MAIL}$`, 'i');

const NOT_SEND =
  /(?:\b(?:but|and)\s+)*\b(?:(?:do not|don't|never|not) send(?:\s+(?:it|them|anything))?(?:\s+yet)?|without sending(?:\s+(?:it|them|anything))?)$/i;
const AND_SEND =
  /(?:\b(?:and|then|also)\s+|&\s*)*\bsend(?:\s+(?:it|them|that|this|those|these|all|the (?:e-?mails?|mails?|messages?)))?(?:\s+(?:off|out|too|straight away|immediately|at once|to (?:him|her|them)))*$/i;
const SEND_INSIDE =
  /\s+and\s+(?:then\s+)?send(?:\s+(?:it|them|that|this))?(?=\s+(?:to|an?|the|e-?mails?|mails?|messages?)\b)/i;

const ABOUT =
  '(?:about|regarding|concerning|saying|mentioning|asking|inviting|offering|telling|thanking|to (?:ask|tell|invite|introduce|offer|say|thank|congratulate|follow up)|(?:and )?(?:tell|ask|invite|mention|offer|say|thank)|that says)';
const INSTRUCTIONS = new RegExp(`\\s+(${ABOUT}\\b.+)$`, 'i');
const TEMPLATE = new RegExp(
  `\\s+(?:and\\s+)?(?:with|using|use|from|based on)\\s+(?:the\\s+|my\\s+|our\\s+)?(?:template\\s+(.+?)|(\\S.{0,80}?)\\s+template)(?=\\s+(?:${ABOUT}|to|for)\\b|$)`,
  'i',
);
/** "find CTOs and send them an email" is "send CTOs an email". */
const FIND_AND =
  /^(?:find|search(?: for)?|look for|get|pick|take)(?: me)?\s+(.+?)(?:,|\s+and|\s+then)+\s+((?:write|draft|compose|prepare|e-?mail|mail|message|contact|send)\b.*?)\b(?:them|him|her|(?:all|each) of them)\b(.*)$/i;
const DICTATION = /[\s,;:]+(?:with\s+)?(?:the\s+|a\s+)?subject\b.*$/i;
const SUBJECT = /\bsubject(?: line)?:?\s*"([^"]+)"/i;
const BODY = /\b(?:body|text|message|saying|content):?\s*"([^"]+)"/i;

export const writingIntents: Intent[] = [
  defineIntent<Wanted>({
    example: 'Write to NAME',
    tools: ['search_leads', 'personalize_email'],
    read: (scene) => wantedFrom(scene, false),
    next: writeStep,
  }),
  defineIntent<Wanted>({
    example: 'Write to everyone at COMPANY and send it',
    suggested: true,
    tools: ['search_leads', 'personalize_email', 'send_email'],
    read: (scene) => wantedFrom(scene, true),
    next: writeStep,
  }),
];

function wantedFrom(scene: Scene, send: boolean): Wanted | undefined {
  const wanted = readWanted(scene.turn) ?? answeredWith(scene, readWanted);
  return wanted?.send === send ? wanted : undefined;
}

function readWanted({ raw, said }: Pick<Turn, 'raw' | 'said'>): Wanted | undefined {
  const dictated = readDictated(raw);
  const whole = dictated ? tidy(said.replace(DICTATION, '')) : said;
  const { send, words } = readSending(whole.replace(FIND_AND, '$2$1$3'));
  const template = TEMPLATE.exec(words)?.slice(1).find(Boolean);
  const plain = words.replace(TEMPLATE, '');
  const wish = readRecipient(plain.replace(INSTRUCTIONS, ''), INSTRUCTIONS.exec(plain)?.[1]);
  return (
    wish && {
      people: wish.recipient ? readPeople(wish.recipient, 'name') : [],
      send: send || wish.send,
      ...(wish.instructions && { instructions: wish.instructions.replace(/^and\s+/i, '') }),
      ...(template && { template: unquote(template) }),
      ...(dictated && { dictated }),
    }
  );
}

/** Whether the words ask to send as well, and the words without that. */
function readSending(said: string): { send: boolean; words: string } {
  if (NOT_SEND.test(said)) return { send: false, words: tidy(said.replace(NOT_SEND, '')) };
  const words = tidy(said.replace(AND_SEND.test(said) ? AND_SEND : SEND_INSIDE, ''));
  return { send: words !== said, words };
}

/** To whom the verb points; undefined where the words are no wish to write or send. */
function readRecipient(
  words: string,
  instructions: string | undefined,
): { send: boolean; recipient?: string; instructions?: string } | undefined {
  const direct = MAIL_TO.exec(words)?.[1];
  if (direct) return { send: true, recipient: direct, instructions };
  const write = WRITE.exec(words);
  const rest = write ? (write[1] ?? '') : SEND.exec(words)?.[1];
  if (rest === undefined) return undefined;
  const recipient = RECIPIENT.map((pattern) => pattern.exec(rest)?.[1]).find(Boolean);
  if (recipient) return { send: !write, recipient, instructions };
  if (rest !== '' && !ONLY_A_MAIL.test(rest)) return undefined;
  // "write an email about our prices to Maureen Fuentes": the recipient stands behind the instructions.
  const [, before, behind] = /^(.+)\s+(?:to|for)\s+(.+?)$/i.exec(instructions ?? '') ?? [];
  return { send: !write, recipient: behind, instructions: before ?? instructions };
}

function readDictated(raw: string): Wanted['dictated'] {
  const plain = raw.replace(/[“”„«»]/g, '"');
  const subject = SUBJECT.exec(plain)?.[1];
  const body = BODY.exec(plain)?.[1];
  return subject && body ? { subject, body } : undefined;
}

function writeStep(wanted: Wanted, scene: Scene): Step {
  if (wanted.people.length === 0) return { text: 'To whom? Say a name, an address or a company.' };
  if (wanted.dictated) return dictatedStep(wanted, wanted.dictated, scene);
  const found = findLeads(wanted.people, scene);
  if (found.step) return found.step;
  const template = wanted.template ? findTemplate(wanted.template, scene) : {};
  if (template.step) return template.step;

  const { leads, notes } = reachable(found.leads);
  const said = [...found.notes, ...notes];
  if (leads.length === 0) return { text: paragraphs(...said) };
  const outcomes = scene.outcomes('personalize_email');
  if (outcomes.length < leads.length) {
    const options = {
      ...(template.id && { template_id: template.id }),
      ...(wanted.instructions && { instructions: wanted.instructions }),
    };
    const calls = leads.map((lead) => ({
      name: 'personalize_email',
      args: { lead_id: lead.lead_id, ...options },
    }));
    return { text: paragraphs(...said), toolCalls: calls.slice(outcomes.length) };
  }
  const drafts = outcomes.flatMap((outcome) => (outcome.status === 'ok' ? [outcome.result] : []));
  const failures = outcomes.flatMap((outcome, index) =>
    outcome.status === 'ok' ? [] : [trouble(`write to ${leadLabel(leads[index] ?? {})}`, outcome)],
  );
  if (drafts.length === 0) return { text: paragraphs(...failures) };
  if (!wanted.send) {
    const offer = drafts.length === 1 ? 'Say “send it” to send it.' : 'Say “send them” to send them.';
    return { text: paragraphs(...failures, ...drafts.map(draftInFull), `Nothing is sent yet. ${offer}`) };
  }
  return sendStep(drafts.map(mailOf), scene, paragraphs(...failures, announcement(drafts)));
}

/** The leads that may be written to now, and why others are left out. */
function reachable(leads: readonly Row[]): { leads: readonly Row[]; notes: string[] } {
  const suppressed = leads.filter((lead) => lead.suppressed === true);
  const nowhere = leads.filter((lead) => lead.suppressed !== true && !textAt(lead, 'email'));
  const open = leads.filter((lead) => lead.suppressed !== true && textAt(lead, 'email'));
  const named = (some: readonly Row[]) => series(some.map(leadLabel));
  return {
    leads: open.slice(0, AT_ONCE),
    notes: [
      suppressed.length > 0
        ? `${named(suppressed)} must not be mailed (suppression list), so I write nothing there.`
        : '',
      nowhere.length > 0 ? `${named(nowhere)}: the row has no email address.` : '',
      atOnceNote(open.length),
    ],
  };
}

/** Sends the person's own words. An address is not looked up first: the rows of a search would forbid free recipients. */
function dictatedStep(wanted: Wanted, dictated: { subject: string; body: string }, scene: Scene): Step {
  if (!wanted.send) return { text: 'Say “send an email to …” with these words, and I propose to send it.' };
  const { addresses, others } = splitAddresses(wanted.people);
  const found = findLeads(others, scene);
  if (found.step) return found.step;
  const { leads, notes } = reachable(found.leads);
  const mails = [
    ...addresses.map((to) => ({ to, args: { to, ...dictated } })),
    ...leads.map((lead) => ({ to: textAt(lead, 'email'), args: { lead_id: lead.lead_id, ...dictated } })),
  ].slice(0, AT_ONCE);
  const said = paragraphs(...found.notes, ...notes);
  if (mails.length === 0) return { text: said };
  return sendStep(mails, scene, paragraphs(said, 'I ask for your approval to send your words.'));
}

function announcement(drafts: readonly Row[]): string {
  const written = drafts.map((draft) =>
    `To ${inline(textAt(draft, 'to'))}: “${inline(textAt(draft, 'subject'))}”. ${buildsOn(draft)}`.trim(),
  );
  const asks =
    drafts.length === 1 ? 'I ask for your approval to send it.' : 'I ask for your approval to send each.';
  return paragraphs(written.length === 1 ? written[0] : written.map((line) => `- ${line}`).join('\n'), asks);
}

function findTemplate(name: string, scene: Scene): { step?: Step; id?: string } {
  const [outcome] = scene.outcomes('list_templates');
  if (!outcome) return { step: { toolCalls: [{ name: 'list_templates', args: {} }] } };
  if (outcome.status !== 'ok') return { step: { text: trouble('read your templates', outcome) } };
  const templates = rowsAt(outcome.result, 'templates');
  const template = templates.find((row) => sameText(textAt(row, 'name'), name));
  if (template) return { id: textAt(template, 'template_id') };
  const others = templates.map((row) => `- ${inline(textAt(row, 'name'))}`).join('\n');
  const known = others ? `These are there:\n\n${others}` : 'There is none yet.';
  return { step: { text: `I found no template named ${inline(name)}. ${known}` } };
}
