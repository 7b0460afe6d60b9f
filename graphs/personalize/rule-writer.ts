/** Writes by plain rules, for a service without a model: the same rows always give the same mail, and it invents nothing. */

import type { TemplateText } from '../../src/resources/personalization/ports.ts';
import { renderTemplate } from '../../src/resources/templates/render.ts';
import { holds, linksIn } from './check.ts';
import { type Claim, type Commonality, type Draft, type Facts, NO_TOKENS } from './state.ts';
import type { MailBrief, Writer } from './writer.ts';

export function createRuleWriter(): Writer {
  return {
    name: 'offline-rules',
    findCommonalities: async ({ facts }) => ({ commonalities: commonalitiesOf(facts), usage: NO_TOKENS }),
    writeEmail: async (brief) => ({
      draft: brief.template === null ? writePlainly(brief) : fill(brief.template, brief.facts, brief.sender),
      usage: NO_TOKENS,
    }),
  };
}

function commonalitiesOf(facts: Facts): Commonality[] {
  const title = usable(facts, 'title');
  const company = usable(facts, 'company');
  const city = usable(facts, 'city');
  const country = usable(facts, 'country');
  const found: (Commonality | false)[] = [
    title !== '' && {
      text: company === '' ? `You are ${title}.` : `You are ${title} at ${company}.`,
      field: 'title',
      quote: title,
    },
    company !== '' && { text: `You work at ${company}.`, field: 'company', quote: company },
    city !== '' && { text: `You are based in ${city}.`, field: 'city', quote: city },
    country !== '' && { text: `You are based in ${country}.`, field: 'country', quote: country },
  ];
  return found.filter((one) => one !== false);
}

function writePlainly({ facts, sender, commonality, instructions }: MailBrief): Draft {
  const firstName = usable(facts, 'first_name');
  const company = usable(facts, 'company');
  const name = sender.from_name ?? '';
  const home = sender.company ?? sender.company_name ?? '';
  const offer = sender.value_proposition ?? sender.offer ?? sender.pitch ?? sender.description ?? '';
  // Only what reads on from "I am writing" can be taken over without understanding it.
  const topic = /^(?:about|regarding|concerning)\s+[^.?!\n]+/i.exec(instructions.trim())?.[0] ?? '';
  const reason = `I am writing${topic === '' ? '' : ` ${topic}`}${addressed(commonality, company)}.`;
  const introduction = [
    name !== '' && `My name is ${name}${home === '' ? '' : `, and I work at ${home}`}.`,
    name === '' && home !== '' && `I work at ${home}.`,
    offer,
  ].filter((part) => part !== false && part !== '');
  const paragraphs = [
    firstName === '' ? 'Hello,' : `Hello ${firstName},`,
    reason,
    introduction.join(' '),
    'Would you be open to a short conversation?',
    `Best regards${name === '' ? '' : `,\n${name}`}`,
  ];
  const subject = company === '' ? 'A short question' : `A short question for ${company}`;
  const body = paragraphs.filter((paragraph) => paragraph !== '').join('\n\n');
  return { subject, body, claims: claimsIn(`${subject}\n${body}`, facts) };
}

/** How the reason goes on for this commonality; without one the mail says nothing of the lead. */
function addressed(commonality: Commonality | null, company: string): string {
  switch (commonality?.field) {
    case 'title':
      return ` to you as ${commonality.quote}${company === '' ? '' : ` at ${company}`}`;
    case 'company':
      return ` to you because you work at ${commonality.quote}`;
    case 'city':
    case 'country':
      return ` to you in ${commonality.quote}`;
    default:
      return ' to you for the first time';
  }
}

/** Fills a template; a variable without a value stays as it is, so that the check finds it. */
function fill(template: TemplateText, facts: Facts, sender: Facts): Draft {
  const values: Record<string, string> = { ...sender };
  for (const [field, value] of Object.entries(sender)) values[`sender_${field}`] = value;
  for (const field of Object.keys(facts))
    if (usable(facts, field) !== '') values[field] = usable(facts, field);
  const rendered = [template.subject, template.body].map((text) => {
    const { missing } = renderTemplate(text, values);
    const marks = Object.fromEntries(missing.map((name) => [name, `{{${name}}}`]));
    return renderTemplate(text, { ...values, ...marks }).text;
  });
  const [subject = '', body = ''] = rendered;
  return { subject, body, claims: claimsIn(`${subject}\n${body}`, facts) };
}

/** A claim for each field whose words are used. */
function claimsIn(mail: string, facts: Facts): Claim[] {
  return Object.keys(facts)
    .map((field) => ({ field, quote: usable(facts, field) }))
    .filter(({ quote }) => holds(mail, quote));
}

/** A field's value where it can stand in a sentence as it is; else nothing: a link or markup is no name and no place. */
function usable(facts: Facts, field: string): string {
  const line = (facts[field] ?? '').replaceAll(/\s+/g, ' ').trim();
  if (line.length > 100 || !/[\p{L}\p{N}]/u.test(line) || /[\p{Cc}{}<>[\]]/u.test(line)) return '';
  // A company may be called like a domain.
  const bareDomain = field === 'company' && /^[\w-]+(?:\.[a-z]{2,})+$/i.test(line);
  return bareDomain || linksIn(line).length === 0 ? line : '';
}
