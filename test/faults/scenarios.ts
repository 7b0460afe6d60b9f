/** What happens in the turns whose processes are killed: what the model says, what a person does, and how it must end. */

import { sendEmail } from '../support/mailing.ts';
import type { Gate, Scripted, ScriptedToolCall } from '../support/scripted-model.ts';

/** What a scenario's answers may speak of. */
export interface Given {
  leadIds: readonly string[];
  /** A draft with sixty leads, some of whom must not be written to. */
  campaignId: string;
  /** Opens when what happens in the middle of the text has happened. */
  half: Gate;
}

export interface Scenario {
  /** How many leads it writes to. */
  leads: number;
  /** The model's, one for each step. */
  answers(given: Given): Scripted[];
  /** What a person decides of a card of kind `proposal`. */
  decision: 'approve' | 'edit' | 'reject';
  /** Whether all that wait are decided in one request. */
  atOnce?: boolean;
  /** How many of its first mails are taken without an answer; the person then says "retry" each time. */
  drops?: number;
  /** Whether the mail server does a mail with the same message id only once, and is known for it. */
  deduplicates?: boolean;
  /** What a person does instead of deciding. */
  instead?: 'cancel' | 'supersede' | 'expire';
  /** What happens while the first text is told, or (`sibling`) while the first mail is on its way. */
  meanwhile?: 'cancel' | 'drain' | 'renew' | 'rename' | 'sibling';
  /** Where the process begins whose kills are counted: a turn that waits since another one, or that another one lost. */
  from?: 'card' | 'half';
  /** Whether it is another scenario until a person acts, so that what comes before need not be tried again. */
  asBefore?: boolean;
  /** How its turns end, in their order. */
  ends: readonly ('completed' | 'cancelled')[];
  /** How many cards of kind `proposal` are asked. */
  cards: number;
  /** How many effects are recorded, asked or not. */
  effects: number;
}

/** The words of the message that comes instead of a decision. */
export const INSTEAD = 'Never mind';
/** What a person makes of the mail that is edited. */
export const EDITED = 'Dear Maureen, this is another text than the one before. To unsubscribe, answer no.';

const READ = { name: 'search_leads', args: { query: 'Acme' } };
const last = ({ half }: Given): Scripted => ({ text: ['That ', 'is ', half, 'how ', 'it ', 'went.'] });
const mail = (leadId: string | undefined, more?: Record<string, unknown>): ScriptedToolCall =>
  sendEmail(leadId ?? '', more);
const address = (name: string): ScriptedToolCall => ({
  name: 'find_email',
  args: { name: `${name} Lovelace`, domain: 'acme.example' },
});
const mails = (given: Given): Scripted[] => [
  {
    text: 'I write to both. ',
    toolCalls: [mail(given.leadIds[0]), READ, mail(given.leadIds[1], { subject: 'Second' })],
  },
  last(given),
];
const oneMail = (given: Given): Scripted[] => [
  { text: 'May I? ', toolCalls: [mail(given.leadIds[0])] },
  last(given),
];

const NOTHING = { leads: 0, decision: 'approve', ends: ['completed'], cards: 0, effects: 0 } as const;
const ONE_MAIL = {
  leads: 1,
  answers: oneMail,
  decision: 'approve',
  ends: ['completed'],
  cards: 1,
  effects: 1,
} as const;
const TWO_MAILS = { ...ONE_MAIL, leads: 2, answers: mails, cards: 2, effects: 2 } as const;
const UNDECIDED = { ...ONE_MAIL, asBefore: true, ends: ['cancelled'], effects: 0 } as const;

export const SCENARIOS = {
  plain: { ...NOTHING, answers: (given) => [last(given)] },
  tool: {
    ...NOTHING,
    leads: 1,
    answers: (given) => [{ text: 'I look. ', toolCalls: [READ] }, last(given)],
  },
  mails: TWO_MAILS,
  together: { ...TWO_MAILS, asBefore: true, atOnce: true },
  sibling: { ...TWO_MAILS, asBefore: true, meanwhile: 'sibling' },
  edit: { ...ONE_MAIL, decision: 'edit' },
  reject: { ...ONE_MAIL, asBefore: true, decision: 'reject', effects: 0 },
  dropped: { ...ONE_MAIL, asBefore: true, drops: 2 },
  repeated: { ...TWO_MAILS, asBefore: true, deduplicates: true },
  'dropped and repeated': { ...ONE_MAIL, asBefore: true, drops: 1, deduplicates: true },
  'cancel while it speaks': {
    ...NOTHING,
    answers: (given) => [last(given)],
    meanwhile: 'cancel',
    ends: ['cancelled'],
  },
  'cancel while it waits': { ...UNDECIDED, instead: 'cancel' },
  superseded: { ...UNDECIDED, instead: 'supersede', ends: ['cancelled', 'completed'] },
  expired: { ...UNDECIDED, instead: 'expire' },
  restart: { ...TWO_MAILS, from: 'card' },
  takeover: {
    ...NOTHING,
    leads: 1,
    answers: (given) => [{ text: 'I look. ', toolCalls: [READ] }, last(given)],
    from: 'half',
  },
  drain: {
    ...NOTHING,
    leads: 1,
    answers: (given) => [{ text: ['I look. ', given.half], toolCalls: [READ] }, last(given)],
    meanwhile: 'drain',
  },
  renew: { ...NOTHING, answers: (given) => [last(given)], meanwhile: 'renew' },
  rename: { ...NOTHING, answers: (given) => [last(given)], meanwhile: 'rename' },
  spend: {
    ...NOTHING,
    leads: 0,
    answers: (given) => [{ toolCalls: ['Ada', 'Bea', 'Cleo', 'Dora'].map(address) }, last(given)],
    cards: 1,
    effects: 4,
  },
  launch: {
    ...NOTHING,
    answers: (given) => [
      {
        toolCalls: [
          // Nothing is due before the test is over; what a dispatcher does with it has its own sweep.
          {
            name: 'launch_campaign',
            args: { campaign_id: given.campaignId, start_date: '2199-01-07T09:00:00Z' },
          },
        ],
      },
      last(given),
    ],
    cards: 1,
    effects: 1,
  },
} as const satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof SCENARIOS;
