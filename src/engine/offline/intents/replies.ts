/** What came back to the mails that were sent: replies, automatic answers, bounces. */

import { defineIntent, type Step } from '../intent.ts';
import { field, heading, inline, paragraphs, table, time, trouble } from '../replies.ts';
import { asRow, type Row, rowsAt, type Scene, textAt } from '../scene.ts';
import { limitIn, unquote } from '../words.ts';
import { withCampaign } from './campaigns.ts';

const WHEN = '(?: (?:yet|so far|already|today|lately))?';
const ABOUT = '(?: (?:to|of|in|on|for|from) (?<about>.+))?';
const SMALL = '(?:(?:the|my|our|all|any|some|new|latest|last|recent|newest|first|\\d{1,3}) )*';
const REPLIES = '(?:replies|answers|responses|inbox)';
const AUTOMATIC =
  '(?:auto(?:matic)?[- ]?(?:replies|answers|responses)|out[- ]of[- ]offices?(?: (?:replies|answers|notices|e-?mails|mails))?)';
const BOUNCES =
  '(?:bounces|(?:bounced|undeliverable|undelivered|returned) (?:e-?mails|mails|messages|addresses))';
const WHAT = `(?:(?<replies>${REPLIES})|(?<automatic>${AUTOMATIC})|(?<bounces>${BOUNCES}))`;

const PATTERNS = [
  `(?<people>(?:who|has anyone|did anyone|has anybody|did anybody|how many(?: people| leads)?)(?: has| have)? (?:replied|answered|responded|reply|answer|respond))${WHEN}${ABOUT}`,
  `(?:(?:show|list|read|get|see|give|check|view)(?: me)? )?${SMALL}${WHAT}${WHEN}${ABOUT}`,
  `(?:(?:are|were|is) there|what(?: is|'s) in|do (?:i|we) have|have (?:i|we) got|what are|did (?:i|we) get) ${SMALL}${WHAT}${WHEN}${ABOUT}`,
  `how many ${WHAT}(?: (?:are there|do (?:i|we) have|did (?:i|we) get|came (?:in|back)))?${WHEN}${ABOUT}`,
  `(?<bounces>(?:what|which (?:e-?mails?|mails?|addresses)|who|did (?:any|the) (?:e-?mails?|mails?)|(?:have|has) (?:any|the) (?:e-?mails?|mails?)) (?:has |have )?bounced?)${WHEN}${ABOUT}`,
].map((pattern) => new RegExp(`^${pattern}$`, 'i'));

interface Wanted {
  args: Row;
  /** The campaign's name as it was said; empty for "it" and "the campaign", absent where none was named. */
  campaign?: string;
}

export const repliesIntents = [
  defineIntent<Wanted>({
    example: 'Show me the replies',
    tools: ['list_replies'],
    read({ said }) {
      for (const pattern of PATTERNS) {
        const groups = pattern.exec(said)?.groups;
        if (groups === undefined) continue;
        return {
          args: { ...limitIn(said.replace(groups.about ?? '', '')), ...kindOf(groups) },
          ...(groups.about === undefined ? {} : { campaign: campaignIn(groups.about) }),
        };
      }
      return undefined;
    },
    next({ args, campaign }, scene) {
      if (campaign === undefined) return readStep(args, scene);
      return withCampaign(campaign, scene, (row) =>
        readStep({ ...args, campaign_id: textAt(row, 'campaign_id') }, scene),
      );
    },
  }),
];

function kindOf({ people, automatic, bounces }: Record<string, string | undefined>): { kind?: string } {
  if (people !== undefined) return { kind: 'reply' };
  if (automatic !== undefined) return { kind: 'auto_reply' };
  return bounces === undefined ? {} : { kind: 'bounce' };
}

function campaignIn(about: string): string {
  const name = about
    .replace(/^(?:the|my|our|this|that) /i, '')
    .replace(/^campaign(?: (?:called|named))? ?/i, '');
  return /^(?:it|this|that)$/i.test(name) ? '' : unquote(name.replace(/ ?campaign$/i, ''));
}

function readStep(args: Row, scene: Scene): Step {
  const [outcome] = scene.outcomes('list_replies');
  if (outcome === undefined) return { toolCalls: [{ name: 'list_replies', args }] };
  if (outcome.status !== 'ok') return { text: trouble('read the replies', outcome) };
  return { text: tell(outcome.result, args.kind) };
}

const NOUNS: Record<string, string> = { bounce: 'bounced mail', auto_reply: 'automatic answer' };

function tell(result: Row, kind: unknown): string {
  const noun = NOUNS[String(kind)] ?? 'mail';
  const replies = rowsAt(result, 'replies');
  const [first, ...others] = replies;
  if (first === undefined) {
    const none = NOUNS[String(kind)] ?? 'reply';
    return `No ${none} has come in yet. I see what a mail server hands in at \`POST /api/v1/replies/inbound\`.`;
  }
  return paragraphs(
    heading(result, replies.length, noun, ' that came back'),
    table(
      {
        From: (row) => textAt(row, 'from_name') || textAt(row, 'from_email'),
        Address: (row) => textAt(asRow(row.bounce), 'recipient') || textAt(row, 'from_email'),
        Kind: kindTold,
        Subject: field('subject'),
        Says: (row) => shortened(textAt(row, 'text')),
        Received: time('received_at'),
      },
      replies,
    ),
    others.length === 0 && textAt(first, 'text').length > SHOWN ? `> ${inline(textAt(first, 'text'))}` : '',
  );
}

/** Characters of a reply that stand in a table. */
const SHOWN = 140;

function shortened(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

function kindTold(row: Row): string {
  const kind = textAt(row, 'kind');
  if (kind === 'auto_reply') return 'automatic';
  return kind === 'bounce' ? `${textAt(asRow(row.bounce), 'type')} bounce` : kind;
}
