/** What a person should know before a campaign is launched, worst first. */

import { isRoleAddress } from '../role-address.ts';
import { fills, placeholdersOf } from '../templates/render.ts';
import type { Content, ContentVariant, Letter, Recipient } from './content.ts';
import { roomOf, type SendRule } from './launch/plan.ts';
import type { LaunchWarning } from './schema.ts';

export interface Finding {
  code: string;
  message: string;
  /** `blocks`: it cannot be launched like this. */
  level: 'blocks' | 'high' | 'medium' | 'low';
  step?: number | null;
  field?: string | null;
  /** The first row that it is about. */
  row?: number | null;
}

const LEVELS = ['blocks', 'high', 'medium', 'low'] as const;

export function worstFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((one, other) => LEVELS.indexOf(one.level) - LEVELS.indexOf(other.level));
}

export function toWarning(finding: Finding): LaunchWarning {
  return {
    code: finding.code,
    message: finding.message,
    row_index: finding.row ?? null,
    step: finding.step ?? null,
    field: finding.field ?? null,
    severity: finding.level === 'blocks' ? 'error' : 'warning',
  };
}

/** What stands in the texts by mistake: braces that are no variable, and marks such as [your name]. */
const LEFTOVER = /\{\{|\}\}|\[(?:your|first|last|full|insert|company|name)\b[^\]]{0,100}\]/i;
const VARIABLE = /\{\{[^{}]*\}\}/g;
const UNSUBSCRIBE = /unsubscribe|opt[ -]?out|abmelden|d[eé]sinscri|darse de baja/i;

/** Findings that follow from the texts and senders alone. */
export function contentFindings(content: Content): Finding[] {
  // A lead's own text is checked as it is written, and gets its link wherever it ends.
  const texts = content.steps.flatMap(({ step, variants }) =>
    variants
      .filter(({ personal }) => !personal)
      .map((variant) => ({ step, label: variant.label, text: `${variant.subject}\n${variant.body}` })),
  );
  const findings: Finding[] = [];
  for (const { step, label, text } of texts) {
    const named = `Step ${step}, variant ${label}`;
    if (LEFTOVER.test(text.replaceAll(VARIABLE, ''))) {
      const message = `${named}: the text holds a placeholder that would be sent as it stands.`;
      findings.push({ code: 'UNFILLED_PLACEHOLDER', message, level: 'high', step });
    }
    if (!UNSUBSCRIBE.test(text)) {
      const message = `${named}: the text does not say how to receive no more mails. {{unsubscribe_link}} stands for the recipient's own link.`;
      findings.push({ code: 'NO_UNSUBSCRIBE_LINE', message, level: 'medium', step });
    }
  }
  for (const sender of content.senders) {
    if (sender.postal_address === null) {
      const message = `The sender profile of ${sender.address} has no postal address; many countries require one in commercial mail.`;
      findings.push({ code: 'NO_POSTAL_ADDRESS', message, level: 'high' });
    }
    if (sender.name === null) {
      const message = `The sender profile of ${sender.address} has no from_name, so recipients see the bare address.`;
      findings.push({ code: 'NO_FROM_NAME', message, level: 'low' });
    }
  }
  return findings;
}

/**
 * What this service itself knows of its signature (RFC 6376): whether it signs, and whether for the sender's own domain,
 * which is what DMARC aligns by (RFC 7489 §3.1.1, relaxed). What DNS says of SPF and DMARC is not asked.
 */
export function signatureFindings(content: Content, signedFor: string | null): Finding[] {
  if (signedFor === null) {
    const message =
      'Mails are not signed here (DKIM_KEY is not set): unless the mail server signs them, many will be taken for spam.';
    return [{ code: 'NOT_SIGNED', message, level: 'low' }];
  }
  const domain = signedFor.toLowerCase();
  return content.senders.flatMap(({ address }): Finding[] => {
    const own = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
    if (own === domain || own.endsWith(`.${domain}`) || domain.endsWith(`.${own}`)) return [];
    const message = `Mails of ${address} are signed for ${signedFor}, which is not its domain: where ${own} asks for DMARC, that signature does not count.`;
    return [{ code: 'SIGNED_FOR_ANOTHER', message, level: 'medium' }];
  });
}

/** Findings on what the schedule leaves room for. */
export function ruleFindings(rule: SendRule, leads: number): Finding[] {
  if (rule.days.size === 0 || rule.windowEnd <= rule.windowStart) {
    const message =
      rule.days.size === 0
        ? 'No day of the week is chosen, so the sending window never opens.'
        : 'The sending window ends before it begins, so it never opens.';
    return [{ code: 'WINDOW_NEVER_OPENS', message, level: 'blocks' }];
  }
  const room = roomOf(rule);
  // Who writes to few people meets neither the limit nor the window.
  if (room >= rule.dailyLimit || room >= leads) return [];
  const message = `Window and interval leave room for ${room} mails a day and mailbox, so the daily limit of ${rule.dailyLimit} is not reached.`;
  return [{ code: 'WINDOW_TOO_SMALL', message, level: 'low' }];
}

/** Recipients whose address belongs to a role and not to a person. */
export function roleFindings(ready: readonly { email: string; position: number }[]): Finding[] {
  const found = ready.filter((one) => isRoleAddress(one.email));
  const [first] = found;
  if (first === undefined) return [];
  const named = found.length === 1 ? first.email : `${first.email} and ${found.length - 1} more`;
  const message = `${found.length} of ${ready.length} leads ${found.length === 1 ? 'has an address' : 'have addresses'} of a role and not of a person: ${named}.`;
  return [{ code: 'ROLE_ADDRESS', message, level: 'low', row: first.position }];
}

/** What is to be said of texts that are the leads' own. */
export function ownTextFindings(
  { unseen, missing, leads }: { unseen: number; missing: readonly { position: number }[]; leads: number },
  policy: string,
): Finding[] {
  const findings: Finding[] = [];
  if (unseen > 0) {
    const held = policy !== 'launch_default';
    findings.push({
      code: 'UNREVIEWED_TEXTS',
      message: `${unseen} texts were written for one lead each, and nobody has read them.${held ? ' The campaign is not to start like that: approve or rewrite them first.' : ''}`,
      level: held ? 'blocks' : 'high',
    });
  }
  if (missing.length > 0) {
    findings.push({
      code: 'TEXTS_MISSING',
      message: `${missing.length} of ${leads} leads have no text of their own yet, or one for what was known before, and are left out. Let their texts be written first.`,
      level: 'high',
      row: missing[0]?.position ?? null,
    });
  }
  return findings;
}

/** What a variable that is left empty weighs against one for which its fallback stands in. */
const LEFT_EMPTY = 1000;

/** Counts, lead by lead, which variables nothing or only a fallback fills. */
export function createFieldCount() {
  interface Count {
    step: number;
    field: string;
    fallback: string | null;
    leads: number;
    row: number;
  }
  const counts = new Map<string, Count>();
  const fallbacks = new Map<ContentVariant, { name: string; fallback: string }[]>();

  function note(step: number, field: string, fallback: string | null, row: number): void {
    const key = JSON.stringify([step, field, fallback]);
    const known = counts.get(key) ?? { step, field, fallback, leads: 0, row };
    known.leads += 1;
    counts.set(key, known);
  }

  function fallbacksOf(variant: ContentVariant) {
    const known = fallbacks.get(variant);
    if (known !== undefined) return known;
    if (variant.personal) return [];
    const found = new Map<string, { name: string; fallback: string }>();
    for (const { name, fallback } of placeholdersOf(`${variant.subject}\n${variant.body}`)) {
      // A text that names a variable twice is still one text to one lead.
      if (fallback !== null) found.set(JSON.stringify([name, fallback]), { name, fallback });
    }
    fallbacks.set(variant, [...found.values()]);
    return [...found.values()];
  }

  return {
    /** Answers how poorly the recipient's fields fill the letter: a variable left empty counts more than any number of fallbacks. */
    add(letter: Letter, recipient: Recipient, row: number): number {
      for (const name of letter.missing) note(letter.step, name, null, row);
      let fallbacksUsed = 0;
      for (const { name, fallback } of fallbacksOf(letter.variant)) {
        if (fills(recipient.values, name)) continue;
        note(letter.step, name, fallback, row);
        fallbacksUsed += 1;
      }
      return letter.missing.length * LEFT_EMPTY + fallbacksUsed;
    },

    findings(total: number): Finding[] {
      return [...counts.values()]
        .sort((one, other) => other.leads - one.leads)
        .map(({ step, field, fallback, leads, row }): Finding => {
          const of = `${leads} of ${total} leads`;
          return fallback === null
            ? {
                code: 'MISSING_FIELD',
                message: `Step ${step}: {{${field}}} is not known for ${of} and has no fallback, so it is left empty. {{${field}|a fallback}} would stand in.`,
                level: 'high',
                step,
                field,
                row,
              }
            : {
                code: 'FALLBACK_USED',
                message: `Step ${step}: {{${field}}} is not known for ${of}; its fallback "${fallback}" stands in.`,
                level: 'low',
                step,
                field,
                row,
              };
        });
    },
  };
}
