/** Sending what is written: the drafts of an earlier answer, and the step that every send shares. */

import { defineIntent, type Step } from '../intent.ts';
import { inline, leadName, paragraphs, sendReport } from '../replies.ts';
import { outcomesOf, type Row, rowsAt, type Scene, textAt } from '../scene.ts';
import { sameText, unquote } from '../words.ts';

/** How many people one request may reach; more are left for the next request. */
export const AT_ONCE = 5;

const MAIL = '(?:e-?mail|mail|message|draft|letter)';
const ONE = `it|that|this|(?:the|that|this|my) ${MAIL}`;
const SEVERAL = `them|these|those|both|everything|all(?: of them)?|(?:all )?(?:these|those|the|my) ${MAIL}s`;
const SEND_IT = new RegExp(
  `^(?:send|mail|ship|fire)(?: (?:(${ONE})|(${SEVERAL})))?(?: (?:off|out|all|both))?(?: (?:to|for) (?:him|her|them|(.+)))?$`,
  'i',
);
const YES =
  /^(?:yes|yeah|yep|sure|ok(?:ay)?|go ahead|do it|do that|go for it|yes do(?: it| that)?|please do)$/i;
const NO = new RegExp(
  `^(?:no[,.]? ?)?(?:(?:do not|don't|never) (?:send|mail)(?: (?:it|that|this|them|anything|the ${MAIL}s?))?(?: yet)?|(?:discard|drop|forget|scrap|cancel) (?:it|that|this|them|the ${MAIL}s?))$|^(?:no|nope|cancel)$`,
  'i',
);

/** A mail that may be proposed: the arguments of `send_email`, and the address it goes to. */
export interface Mail {
  args: Row;
  to: string;
}

/** Proposes the mails that were not proposed in this turn, all in one answer; once each has its outcome, reports it. */
export function sendStep(mails: readonly Mail[], scene: Scene, before: string): Step {
  const outcomes = scene.outcomes('send_email');
  if (outcomes.length < mails.length) {
    const calls = mails.slice(outcomes.length).map(({ args }) => ({ name: 'send_email', args }));
    return { text: before, toolCalls: calls };
  }
  return { text: outcomes.map((outcome, index) => sendReport(outcome, mails[index]?.to ?? '')).join('\n\n') };
}

/** The mail that a result of `personalize_email` makes. */
export function mailOf(draft: Row): Mail {
  const args = { lead_id: draft.lead_id, subject: textAt(draft, 'subject'), body: textAt(draft, 'body') };
  return { args, to: textAt(draft, 'to') };
}

/** What is said when more people are meant than one request may reach. */
export function atOnceNote(people: number): string {
  return people > AT_ONCE
    ? `That is more than ${AT_ONCE} people. I take at most ${AT_ONCE} at once, so these are the first ${AT_ONCE}.`
    : '';
}

export const sendingIntents = [
  defineIntent<{ drafts: Draft[]; address?: string; one: boolean }>({
    example: 'Send it',
    tools: ['send_email'],
    read(scene) {
      const drafts = latestDrafts(scene);
      const words = SEND_IT.exec(scene.said);
      if (words) {
        const [, singular, several, address] = words;
        // "send to X", and "send the email to X" where there is no draft, are wishes for a new email.
        if (address && (drafts.length === 0 || !(singular ?? several))) return undefined;
        return { drafts, one: singular !== undefined, ...(address && { address: unquote(address) }) };
      }
      return YES.test(scene.said) && justOffered(scene) ? { drafts, one: false } : undefined;
    },
    next({ drafts, address, one }, scene) {
      if (drafts.length === 0)
        return { text: 'There is no draft in this conversation yet. Ask me to write one first.' };
      const meant = address
        ? drafts.filter((draft) => sameText(draft.to, address) || sameText(draft.name, address))
        : drafts;
      if (meant.length === 0) {
        const written = drafts.map((draft) => inline(draft.to)).join(', ');
        return { text: `I have no draft for ${inline(address)}, only for ${written}. Ask me to write one.` };
      }
      const unsent = meant.filter((draft) => !draft.handedOver);
      if (unsent.length === 0) {
        const sent = meant.map((draft) => inline(draft.to)).join(', ');
        return { text: `The email to ${sent} was handed over already. I do not send it twice.` };
      }
      if (one && unsent.length > 1) {
        const written = unsent.map((draft) => `- ${inline(draft.to)}`).join('\n');
        return {
          text: paragraphs(
            'There are several drafts:',
            written,
            'Say “send them”, or “send it to” and an address.',
          ),
        };
      }
      const mails = unsent.slice(0, AT_ONCE).map(({ draft }) => mailOf(draft));
      return sendStep(
        mails,
        scene,
        paragraphs(atOnceNote(unsent.length), 'I ask for your approval to send it.'),
      );
    },
  }),
  defineIntent<true>({
    tools: ['send_email'],
    read: (scene) => (NO.test(scene.said) && justOffered(scene) ? true : undefined),
    next: () => ({ text: 'All right, I send nothing.' }),
  }),
];

interface Draft {
  draft: Row;
  to: string;
  name: string;
  /** Whether a send to this lead succeeded after the draft was written. */
  handedOver: boolean;
}

/** Whether the last answer ended with drafts and the offer to send them: a bare yes or no is about that and nothing older. */
function justOffered(scene: Scene): boolean {
  const last = scene.earlier.at(-1);
  const wrote = last && outcomesOf(last, 'personalize_email').some((outcome) => outcome.status === 'ok');
  return wrote === true && outcomesOf(last, 'send_email').length === 0;
}

/** The drafts of the latest earlier turn that wrote some. */
function latestDrafts(scene: Scene): Draft[] {
  const turn = scene.earlier.findLastIndex((one) =>
    outcomesOf(one, 'personalize_email').some((outcome) => outcome.status === 'ok'),
  );
  const since = scene.earlier.slice(Math.max(turn, 0)).flatMap((one) => one.exchanges);
  const leads = scene.earlier.flatMap((one) =>
    outcomesOf(one, 'search_leads').flatMap((outcome) =>
      outcome.status === 'ok' ? rowsAt(outcome.result, 'leads') : [],
    ),
  );
  return since.flatMap(({ name, outcome }) => {
    if (name !== 'personalize_email' || outcome.status !== 'ok') return [];
    const draft = outcome.result;
    const handedOver = since.some(
      (later) =>
        later.name === 'send_email' &&
        later.outcome.status === 'ok' &&
        later.outcome.result.status !== 'failed' &&
        later.args.lead_id === draft.lead_id,
    );
    const lead = leads.find((row) => row.lead_id === draft.lead_id);
    return [{ draft, to: textAt(draft, 'to'), name: lead ? leadName(lead) : '', handedOver }];
  });
}
