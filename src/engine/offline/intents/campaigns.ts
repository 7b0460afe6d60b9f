/** Campaigns by their names: the list, one, its figures, the check before the launch, and what changes one. */

import { findLeads } from '../find-leads.ts';
import { defineIntent, type Intent, readingIntent, type Step } from '../intent.ts';
import { readPeople } from '../people.ts';
import { count, field, heading, inline, paragraphs, series, table, time, trouble } from '../replies.ts';
import { asRow, numberAt, type Outcome, type Row, rowsAt, type Scene, textAt } from '../scene.ts';
import { core, limitIn, sameText, unquote } from '../words.ts';

/** "the Q4 campaign", "campaign Q4", "my campaign called Q4", "the campaign", "it". */
const CAMPAIGN =
  '(?:(?<bare>(?:the|my|our|this|that) campaign)|(?<it>it|this|that)|(?:the |my |our )?campaigns? (?:called |named )?(?<after>.+?)|(?:the |my |our )?(?<before>.+?) campaign)';

const LIST = /^(?:campaigns?|drafts? campaigns?|running campaigns?|active campaigns?)$/;
const said = (...patterns: string[]) => patterns.map((pattern) => new RegExp(`^(?:${pattern})$`, 'i'));

const SHOW = said(
  `(?:show|open|describe|read|display|see)(?: me)? (?:details (?:of|for) )?${CAMPAIGN}(?: in detail)?`,
  `(?:details|schedule|steps) (?:of|for) ${CAMPAIGN}`,
  `tell me (?:more )?about ${CAMPAIGN}`,
);
const STATS = said(
  `(?:show(?: me)? |give me |get |what are )?(?:the )?(?:stats|statistics|figures|numbers|results|performance|progress) (?:of|for|on) ${CAMPAIGN}`,
  `how (?:is|are|did|does) ${CAMPAIGN} (?:doing|going|performing|perform|do|go|look)(?: so far)?`,
  `how many (?:e-?mails|mails) (?:did|has|have) ${CAMPAIGN} (?:send|sent)(?: so far)?`,
  `(?:what is|what's|show(?: me)?) (?:the )?(?:status|state) (?:of|for) ${CAMPAIGN}`,
  "(?:what is|what's|show(?: me)?) (?:the |its )?(?:status|state|stats|figures|progress)(?<it>)",
);
const PREFLIGHT = said(
  `(?:preflight|pre-flight|check|verify|validate|review|inspect) ${CAMPAIGN}(?: (?:before|for) (?:the |a )?launch)?`,
  `(?:is|are) ${CAMPAIGN} (?:ready|ok|fine|good)(?: (?:to (?:go|launch|start)|for launch))?`,
  `what (?:would|will) happen (?:if|when) (?:i|we) launch(?:ed)? ${CAMPAIGN}`,
  `run (?:a |the )?(?:preflight|check) (?:of|for|on) ${CAMPAIGN}`,
  `when (?:will|does|do|would) (?:the )?(?:first |last )?(?:e-?mails?|mails?) (?:of|for|in) ${CAMPAIGN} (?:go out|leave|start|go|be sent)`,
  `when (?:will|does|would) ${CAMPAIGN} (?:start|begin|send)`,
  'when (?:will|does|do|would) (?:the )?(?:first |last )?(?:e-?mails?|mails?) (?:go out|leave|start|go|be sent)(?<it>)',
);
const LAUNCH = said(
  `(?:launch|start|kick off|go live with|fire up|begin|run) ${CAMPAIGN}(?: now)?`,
  `(?:get|set) ${CAMPAIGN} (?:going|started|live|running)`,
  '(?:launch|go live)(?: now)?(?<it>)',
);
const PAUSE = said(`(?:pause|hold|halt|stop|suspend|freeze) ${CAMPAIGN}(?: now)?`, `put ${CAMPAIGN} on hold`);
const RESUME = said(
  `(?:resume|continue|unpause|restart|reactivate|go on with|carry on with) ${CAMPAIGN}(?: now)?`,
  `let ${CAMPAIGN} (?:go on|continue|run again)`,
  '(?:resume|unpause)(?: now)?(?<it>)',
);
const RENAME = said(
  `rename ${CAMPAIGN} (?:to|as|into) (?<value>.+)`,
  `(?:change|set) the name of ${CAMPAIGN} to (?<value>.+)`,
  `call ${CAMPAIGN} (?<value>".+")`,
);
const LIMIT = said(
  `(?:set|change|raise|lower|put) (?:the )?daily (?:limit|cap) (?:of|for|on) ${CAMPAIGN} to (?<value>\\d{1,5})(?: (?:e-?mails|mails))?(?: a day)?`,
  `(?:send|let) ${CAMPAIGN} (?:send )?(?:at most|no more than) (?<value>\\d{1,5}) (?:e-?mails|mails)(?: a day| per day)`,
  `limit ${CAMPAIGN} to (?<value>\\d{1,5})(?: (?:e-?mails|mails))?(?: a day| per day)`,
);
const TIME_ZONE = said(
  `(?:set|change|switch) (?:the )?time ?zone (?:of|for|on) ${CAMPAIGN} to (?<value>.+)`,
  `(?:set|change|switch) ${CAMPAIGN} to (?:the )?time ?zone (?<value>.+)`,
  `use (?:the )?time ?zone (?<value>\\S+) (?:for|in) ${CAMPAIGN}`,
);
const TIME = '\\d{1,2}(?::\\d\\d)?(?: ?[ap]m)?';
const SPAN = `(?<value>${TIME} ?(?:-|–|to|and|until) ?${TIME})`;
const WINDOW = said(
  `(?:set|change) (?:the )?(?:sending )?(?:window|hours) (?:of|for|on) ${CAMPAIGN} to ${SPAN}`,
  `(?:send|let) ${CAMPAIGN} (?:send )?(?:only )?(?:between|from) ${SPAN}`,
  `(?:send|only send) ${CAMPAIGN} (?:only )?(?:between|from) ${SPAN}`,
);
const DAY_NAMES = '(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:days?)?';
const DAYS = `(?<value>weekdays|every day|all days|${DAY_NAMES}(?:(?:,? and |, ?| )${DAY_NAMES})*)`;
const SEND_ON = said(
  `(?:set|change) (?:the )?(?:sending |send )?days (?:of|for|on) ${CAMPAIGN} to ${DAYS}`,
  `(?:only )?send ${CAMPAIGN} (?:only )?on ${DAYS}`,
  `let ${CAMPAIGN} send (?:only )?(?:on )?${DAYS}`,
);
const TEXTS = '(?:texts?|drafts?|e-?mails?|mails?|words|messages?)';
const WRITE_TEXTS = said(
  `(?:write|draft|generate|create|make|personali[sz]e|prepare) (?:the |all (?:the )?|its |their )?(?:personal |personali[sz]ed |missing |own )?${TEXTS} (?:of|for|in) ${CAMPAIGN}`,
  `personali[sz]e ${CAMPAIGN}`,
  `let (?:the )?${TEXTS} (?:of|for) ${CAMPAIGN} be written`,
  `(?:write|generate) (?:the |all (?:the )?|its |their )(?:personal |personali[sz]ed |missing |own )?${TEXTS}(?<it>)`,
);
const ADD = said(
  `(?:add|put) (?:the )?(?:leads (?:of|from|in) )?(?:the )?(?:dataset|list|file) (?<value>.+?) (?:to|into|in) ${CAMPAIGN}`,
  `(?:add|put) (?:all )?(?:the )?leads (?:of|from|in) (?<value>.+?) (?:to|into|in) ${CAMPAIGN}`,
  `(?:extend|fill) ${CAMPAIGN} with (?:the )?(?:leads (?:of|from|in) )?(?:the )?(?:dataset |list |file )?(?<value>.+)`,
);
const ADD_PEOPLE = said(`(?:add|put) (?<value>.+) (?:to|into|in) ${CAMPAIGN}`);
/** A campaign is wished for, but not for whom. */
const CREATE_UNSAID =
  /^(?:create|make|set up|build|prepare|draft|start|add|new)(?: me)? (?:a |an |the |another )?(?:new )?campaign(?: (?:(?:called|named) )?(?<name>(?!(?:for|with|from|to)\b).+))?(?: (?:for|with|from|to) .+)?$/i;
const CREATE =
  /^(?:create|make|set up|build|prepare|draft|start)(?: me)? (?:a |an |the )?(?:new )?(?:(?<steps>one|two|three|1|2|3)[- ]steps? )?campaign (?:(?:called|named) )?(?<name>.+?) (?:for|with|from|on|using) (?:the )?(?:leads (?:of|from|in) )?(?:the )?(?:dataset |list |file )?(?<dataset>.+?)(?:,? (?:with|and|of|in) (?<count>one|two|three|1|2|3) steps?)?(?<personal>,? (?:with|and|of) (?:personal|personali[sz]ed|own|individual) (?:texts?|e-?mails?|mails?|messages?)(?: for each(?: lead| person)?)?)?(?:,? (?:with|using) (?:the )?template (?<template>.+?))?$/i;

const NUMBERS = new Map([
  ['one', 1],
  ['two', 2],
  ['three', 3],
]);
/** Days between the steps of a campaign that is made by talking. */
const STEP_DELAY_DAYS = 3;

function delayOf(index: number): number {
  return index === 0 ? 0 : STEP_DELAY_DAYS;
}

interface Wanted {
  /** The campaign's name as it was said; empty for "the campaign" and "it". */
  name: string;
  value: string;
}

/** Without a campaign in the talk, "it" is one only where nothing else could be meant (`surely`: launch, pause, resume). */
function readWanted(patterns: readonly RegExp[], scene: Scene, surely = false): Wanted | undefined {
  for (const pattern of patterns) {
    const groups = pattern.exec(scene.said)?.groups;
    if (groups === undefined) continue;
    if (groups.it !== undefined && !surely && talkedOf(scene) === null) return undefined;
    return { name: unquote(groups.after ?? groups.before ?? ''), value: unquote(groups.value ?? '') };
  }
  return undefined;
}

/** The id of the campaign that the latest turn with tool calls was about; null where it was about something else. */
function talkedOf({ earlier }: Scene): string | null {
  const turn = earlier.findLast(({ exchanges }) => exchanges.length > 0);
  const ids = (turn?.exchanges ?? []).flatMap(({ args, outcome }) => [
    textAt(args, 'campaign_id'),
    outcome.status === 'ok' ? textAt(outcome.result, 'campaign_id') : '',
  ]);
  return ids.findLast((id) => id !== '') ?? null;
}

/** Finds the campaign that is meant, then does what `act` says with it. */
export function withCampaign(name: string, scene: Scene, act: (campaign: Row) => Step): Step {
  const [outcome] = scene.outcomes('list_campaigns');
  if (outcome === undefined)
    return { toolCalls: [{ name: 'list_campaigns', args: name === '' ? {} : { search: name } }] };
  if (outcome.status !== 'ok') return { text: trouble('read your campaigns', outcome) };
  const found = rowsAt(outcome.result, 'campaigns');
  const exact = found.filter((row) =>
    name === ''
      ? textAt(row, 'campaign_id') === talkedOf(scene)
      : sameText(textAt(row, 'name'), name) || sameText(textAt(row, 'name'), `${name} campaign`),
  );
  const meant = exact.length > 0 ? exact : found;
  const [only, ...others] = meant;
  if (only === undefined) {
    return { text: name === '' ? 'There is no campaign yet.' : `I find no campaign called ${inline(name)}.` };
  }
  if (others.length > 0)
    return {
      text: paragraphs('Several campaigns fit. Say the name of the one you mean:', campaignTable(meant)),
    };
  return act(only);
}

/** An intent that does one thing with a campaign and tells what became of it. */
function campaignIntent(parts: {
  example: string;
  suggested?: boolean;
  tool: string;
  /** As in "I could not …". */
  doing: string;
  patterns: readonly RegExp[];
  /** Whether "it" is a campaign though none was talked of. */
  surely?: boolean;
  args?(wanted: Wanted): Row;
  tell(result: Row, campaign: Row): string;
}): Intent {
  return defineIntent<Wanted>({
    example: parts.example,
    suggested: parts.suggested,
    tools: ['list_campaigns', parts.tool],
    read: (scene) => readWanted(parts.patterns, scene, parts.surely),
    next: (wanted, scene) =>
      withCampaign(wanted.name, scene, (campaign) => {
        const [outcome] = scene.outcomes(parts.tool);
        const args = { campaign_id: textAt(campaign, 'campaign_id'), ...parts.args?.(wanted) };
        if (outcome === undefined) return { toolCalls: [{ name: parts.tool, args }] };
        return {
          text: told(outcome, `${parts.doing} ${inline(textAt(campaign, 'name'))}`, (result) =>
            parts.tell(result, campaign),
          ),
        };
      }),
  });
}

function told(outcome: Outcome, doing: string, tell: (result: Row) => string): string {
  return outcome.status === 'ok' ? tell(outcome.result) : trouble(doing, outcome);
}

export const campaignIntents = [
  campaignIntent({
    example: 'How is the NAME campaign doing?',
    tool: 'get_campaign_stats',
    doing: 'read the figures of',
    patterns: STATS,
    tell: (stats, campaign) =>
      paragraphs(
        `**${inline(textAt(campaign, 'name'))}** is ${inline(textAt(stats, 'status'))}, with ${count(numberAt(stats, 'total_leads', 0), 'lead')}.`,
        table(
          {
            Queued: field('queued'),
            Sent: field('sent'),
            'Kept (sandbox)': field('sandbox'),
            Failed: field('failed'),
            Withheld: field('withheld'),
            Unknown: field('unknown'),
            Replied: field('replied'),
            Bounced: field('bounced'),
            Unsubscribed: field('unsubscribed'),
          },
          [stats],
        ),
      ),
  }),
  campaignIntent({
    example: 'Check the NAME campaign',
    tool: 'preflight_campaign',
    doing: 'check',
    patterns: PREFLIGHT,
    tell: (report, campaign) =>
      paragraphs(
        `A launch of **${inline(textAt(campaign, 'name'))}** would write to ${count(numberAt(asRow(report.summary), 'launchable_rows', 0), 'lead')} of ${numberAt(asRow(report.summary), 'total_rows', 0)}.`,
        leftOut(report),
        sendTimes(report),
        rowsAt(report, 'warnings')
          .slice(0, 8)
          .map(
            (warning) =>
              `- ${warning.severity === 'error' ? '**must be mended**: ' : ''}${inline(textAt(warning, 'message'))}`,
          )
          .join('\n'),
      ),
  }),
  defineIntent<{ name: string; dataset: string; steps: number; template: string; personal: boolean }>({
    example: 'Create a campaign NAME for DATASET with two steps',
    tools: ['list_datasets', 'list_templates', 'create_campaign'],
    read({ said: words }) {
      const groups = CREATE.exec(words)?.groups;
      if (groups === undefined) return undefined;
      const steps = (groups.steps ?? groups.count ?? '').toLowerCase();
      return {
        name: unquote(groups.name ?? ''),
        dataset: unquote(groups.dataset ?? ''),
        steps: NUMBERS.get(steps) ?? (Number(steps) || 1),
        template: unquote(groups.template ?? ''),
        personal: groups.personal !== undefined,
      };
    },
    next({ name, dataset, steps, template, personal }, scene) {
      const [datasets] = scene.outcomes('list_datasets');
      const [templates] = scene.outcomes('list_templates');
      if (datasets === undefined || templates === undefined) {
        const calls = [
          ...(datasets === undefined ? ['list_datasets'] : []),
          ...(templates === undefined ? ['list_templates'] : []),
        ];
        return { toolCalls: calls.map((tool) => ({ name: tool, args: {} })) };
      }
      if (datasets.status !== 'ok') return { text: trouble('read your datasets', datasets) };
      if (templates.status !== 'ok') return { text: trouble('read your templates', templates) };
      const leads = rowsAt(datasets.result, 'datasets').find((row) => sameText(textAt(row, 'name'), dataset));
      if (leads === undefined) {
        const names = rowsAt(datasets.result, 'datasets').map((row) => inline(textAt(row, 'name')));
        return {
          text: `I find no dataset called ${inline(dataset)}. ${names.length === 0 ? 'Import one first.' : `There are: ${series(names)}.`}`,
        };
      }
      // Oldest first: people make the first mail's template before the reminder's.
      const all = rowsAt(templates.result, 'templates').toReversed();
      const texts = template === '' ? all : all.filter((row) => sameText(textAt(row, 'name'), template));
      if (texts.length < steps && !personal) {
        return {
          text: `${count(steps, 'step')} need as many templates, and I find ${texts.length}. Make one first, or name fewer steps.`,
        };
      }
      const [outcome] = scene.outcomes('create_campaign');
      if (outcome === undefined) {
        const args = {
          name,
          dataset_id: textAt(leads, 'dataset_id'),
          steps: personal
            ? Array.from({ length: steps }, (_, index) => ({
                delay_days: delayOf(index),
                personalized: true,
              }))
            : texts.slice(0, steps).map((row, index) => ({
                delay_days: delayOf(index),
                template_id: textAt(row, 'template_id'),
              })),
        };
        return { toolCalls: [{ name: 'create_campaign', args }] };
      }
      return {
        text: told(
          outcome,
          `create the campaign ${inline(name)}`,
          (made) =>
            `The campaign **${inline(textAt(made, 'name'))}** is a draft with ${count(numberAt(made, 'total_leads', 0), 'lead')} and ${count(steps, 'step')}. Nothing is sent before you approve its launch: say “${personal ? 'write the texts for' : 'check'} the ${inline(name)} campaign”, then “launch it”.`,
        ),
      };
    },
  }),
  defineIntent<Wanted>({
    example: 'Add the dataset DATASET to the NAME campaign',
    tools: ['list_campaigns', 'list_datasets', 'add_leads_to_campaign'],
    read: (scene) => readWanted(ADD, scene),
    next: ({ name, value }, scene) =>
      withCampaign(name, scene, (campaign) => {
        const [datasets] = scene.outcomes('list_datasets');
        if (datasets === undefined) return { toolCalls: [{ name: 'list_datasets', args: {} }] };
        if (datasets.status !== 'ok') return { text: trouble('read your datasets', datasets) };
        const dataset = rowsAt(datasets.result, 'datasets').find((row) =>
          sameText(textAt(row, 'name'), value),
        );
        if (dataset === undefined) return { text: `I find no dataset called ${inline(value)}.` };
        const [outcome] = scene.outcomes('add_leads_to_campaign');
        const args = {
          campaign_id: textAt(campaign, 'campaign_id'),
          dataset_id: textAt(dataset, 'dataset_id'),
        };
        if (outcome === undefined) return { toolCalls: [{ name: 'add_leads_to_campaign', args }] };
        const doing = `add ${inline(value)} to ${inline(textAt(campaign, 'name'))}`;
        return {
          text: told(
            outcome,
            doing,
            (result) =>
              `${count(numberAt(result, 'added', 0), 'lead')} of ${inline(value)} joined **${inline(textAt(campaign, 'name'))}**.`,
          ),
        };
      }),
  }),
  defineIntent<Wanted>({
    example: 'Add NAME, everyone at COMPANY, or “them” to the NAME campaign',
    tools: ['list_campaigns', 'search_leads', 'add_leads_to_campaign'],
    read: (scene) => readWanted(ADD_PEOPLE, scene),
    next: ({ name, value }, scene) =>
      withCampaign(name, scene, (campaign) => {
        const found = findLeads(readPeople(value, 'name'), scene);
        if (found.step) return found.step;
        const ids = found.leads.map((lead) => textAt(lead, 'lead_id'));
        if (ids.length === 0) return { text: paragraphs(...found.notes) };
        const [outcome] = scene.outcomes('add_leads_to_campaign');
        const args = { campaign_id: textAt(campaign, 'campaign_id'), lead_ids: ids };
        if (outcome === undefined)
          return { text: paragraphs(...found.notes), toolCalls: [{ name: 'add_leads_to_campaign', args }] };
        const title = inline(textAt(campaign, 'name'));
        return {
          text: told(outcome, `add ${count(ids.length, 'lead')} to ${title}`, (result) => {
            const already = numberAt(result, 'already', 0);
            const joined = `${count(numberAt(result, 'added', 0), 'lead')} joined **${title}**.`;
            return already === 0
              ? joined
              : `${joined} ${already} ${already === 1 ? 'was' : 'were'} in it already.`;
          }),
        };
      }),
  }),
  defineIntent<{ name: string }>({
    tools: ['list_datasets'],
    read({ said: words }) {
      const groups = CREATE_UNSAID.exec(words)?.groups;
      return groups && { name: unquote(groups.name ?? '') };
    },
    next({ name }, scene) {
      const [datasets] = scene.outcomes('list_datasets');
      if (datasets === undefined) return { toolCalls: [{ name: 'list_datasets', args: {} }] };
      if (datasets.status !== 'ok') return { text: trouble('read your datasets', datasets) };
      const names = rowsAt(datasets.result, 'datasets').map((row) => inline(textAt(row, 'name')));
      if (names.length === 0) {
        return { text: 'A campaign needs a list of leads, and there is none yet. Upload a CSV file first.' };
      }
      return {
        text: paragraphs(
          'A campaign needs a name and a list of leads. There are these lists:',
          names.map((dataset) => `- ${dataset}`).join('\n'),
          `Say, for example: “create a campaign ${name === '' ? 'NAME' : inline(name)} for ${names[0]} with two steps”.`,
        ),
      };
    },
  }),
  campaignIntent({
    example: 'Launch the NAME campaign',
    suggested: true,
    tool: 'launch_campaign',
    doing: 'launch',
    patterns: LAUNCH,
    surely: true,
    tell: (result) =>
      paragraphs(
        `**${inline(textAt(result, 'name'))}** is launched (${inline(textAt(result, 'status'))}): ${count(numberAt(result, 'recipients', 0), 'lead')} will get its first mail.`,
        leftOut(result),
        sendTimes(result),
        result.sandbox === true
          ? 'This is a sandbox: when their time comes the mails are kept in the outbox, and nothing leaves this machine.'
          : '',
      ),
  }),
  campaignIntent({
    example: 'Write the texts for the NAME campaign',
    tool: 'generate_drafts',
    doing: 'write the texts for',
    patterns: WRITE_TEXTS,
    tell(result, campaign) {
      const name = inline(textAt(campaign, 'name'));
      const [written, failed] = [numberAt(result, 'written', 0), numberAt(result, 'failed', 0)];
      const left = numberAt(result, 'leads_without_text', 0);
      if (written === 0 && failed === 0 && left === 0)
        return `Every lead of **${name}** has what it needs: no text of their own is missing.`;
      return paragraphs(
        `${count(written, 'text')} of **${name}** ${written === 1 ? 'is' : 'are'} written, each for one lead; it cost ${count(numberAt(result, 'credits', 0), 'credit')}.`,
        failed === 0 ? '' : `${count(failed, 'text')} could not be written.`,
        left === 0
          ? 'Say “launch it” to see them before anything is sent.'
          : `${count(left, 'lead')} still ${left === 1 ? 'lacks' : 'lack'} a text: say it again to go on.`,
      );
    },
  }),
  campaignIntent({
    example: 'Pause the NAME campaign',
    tool: 'pause_campaign',
    doing: 'pause',
    patterns: PAUSE,
    surely: true,
    tell: (result) =>
      `**${inline(textAt(result, 'name'))}** is ${inline(textAt(result, 'status'))}. Nothing more of it is sent until you approve that it goes on.`,
  }),
  campaignIntent({
    example: 'Resume the NAME campaign',
    tool: 'resume_campaign',
    doing: 'resume',
    patterns: RESUME,
    surely: true,
    tell: (result) =>
      paragraphs(
        `**${inline(textAt(result, 'name'))}** goes on (${inline(textAt(result, 'status'))}).`,
        sendTimes(result),
      ),
  }),
  campaignIntent({
    example: 'Rename the NAME campaign to OTHER NAME',
    tool: 'update_campaign',
    doing: 'rename',
    patterns: RENAME,
    args: ({ value }) => ({ name: value }),
    tell: (result) => `The campaign is called **${inline(textAt(result, 'name'))}** now.`,
  }),
  campaignIntent({
    example: 'Set the daily limit of the NAME campaign to 50',
    tool: 'update_campaign',
    doing: 'change',
    patterns: LIMIT,
    args: ({ value }) => ({ daily_limit: Number(value) }),
    tell: (result) => `The daily limit of **${inline(textAt(result, 'name'))}** is changed.`,
  }),
  campaignIntent({
    example: 'Set the time zone of the NAME campaign to Europe/Berlin',
    tool: 'update_campaign',
    doing: 'change the time zone of',
    patterns: TIME_ZONE,
    args: ({ value }) => ({ timezone: value.replaceAll(' ', '_') }),
    tell: (result) =>
      `**${inline(textAt(result, 'name'))}** sends by the clocks of its new time zone. Say “check” it to see when.`,
  }),
  campaignIntent({
    example: 'Send the NAME campaign between 9:00 and 12:30',
    tool: 'update_campaign',
    doing: 'change the window of',
    patterns: WINDOW,
    args({ value }) {
      const [start = '', end = ''] = value.split(/ ?(?:-|–|to|and|until) ?/i).map(timeOfDay);
      return { sending_window_start: start, sending_window_end: end };
    },
    tell: (result) => `The window of **${inline(textAt(result, 'name'))}** is changed.`,
  }),
  campaignIntent({
    example: 'Send the NAME campaign on Tuesday and Thursday',
    tool: 'update_campaign',
    doing: 'change the days of',
    patterns: SEND_ON,
    args: ({ value }) => ({ send_days: daysIn(value) }),
    tell: (result) => `The days of **${inline(textAt(result, 'name'))}** are changed.`,
  }),
  campaignIntent({
    example: 'Show the NAME campaign',
    tool: 'get_campaign',
    doing: 'read',
    patterns: SHOW,
    tell: (campaign) =>
      [
        `**${inline(textAt(campaign, 'name'))}** (${inline(textAt(campaign, 'status'))})`,
        '',
        `- Leads: ${numberAt(campaign, 'total_leads', 0)}`,
        `- Steps: ${numberAt(campaign, 'steps_count', rowsAt(campaign, 'steps').length)}`,
        `- Sends: ${inline(textAt(campaign, 'sending_window'))} ${inline(textAt(campaign, 'timezone'))}${daysOf(campaign)}`,
        `- Daily limit: ${numberAt(campaign, 'daily_limit', 0)}`,
        ...rowsAt(campaign, 'steps').map(stepLine),
      ].join('\n'),
  }),
  readingIntent({
    example: 'List my campaigns',
    tool: 'list_campaigns',
    what: 'your campaigns',
    read: (scene) => (LIST.test(core(scene.said)) ? limitIn(scene.said) : undefined),
    tell(result) {
      const campaigns = rowsAt(result, 'campaigns');
      if (campaigns.length === 0)
        return 'There is no campaign yet. Say “create a campaign NAME for DATASET”.';
      return paragraphs(heading(result, campaigns.length, 'campaign'), campaignTable(campaigns));
    },
  }),
] satisfies Intent[];

function daysOf(campaign: Row): string {
  return Array.isArray(campaign.send_days) ? `, ${inline(campaign.send_days.map(String).join(' '))}` : '';
}

/** When a step comes and what it says. */
function stepLine(step: Row): string {
  const [days, place] = [numberAt(step, 'delay_days', 0), numberAt(step, 'step', 1)];
  const when =
    place === 1 && days === 0
      ? 'at the start'
      : `${count(days, 'day')} ${place === 1 ? 'after the start' : 'later'}`;
  const says = rowsAt(step, 'variants').map((variant) =>
    variant.personalized === true
      ? 'a text of their own for each lead'
      : `“${inline(textAt(variant, 'subject') || textAt(variant, 'template') || 'a template')}”`,
  );
  return `- Step ${place}, ${when}: ${says.length === 0 ? 'no text yet' : says.join(' or ')}`;
}

/** "9" → "09:00", "5:30 pm" → "17:30". */
function timeOfDay(words: string): string {
  const [, hours = '', minutes = '00', half = ''] =
    /^(\d{1,2})(?::(\d\d))? ?([ap]m)?$/i.exec(words.trim()) ?? [];
  const hour = half === '' ? Number(hours) : (Number(hours) % 12) + (/^p/i.test(half) ? 12 : 0);
  return `${String(hour).padStart(2, '0')}:${minutes}`;
}

const WEEK = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/** The days that are named, from Monday on. */
function daysIn(words: string): string[] {
  if (/^(?:every day|all days)$/i.test(words)) return WEEK;
  if (/^weekdays$/i.test(words)) return WEEK.slice(0, 5);
  const named: readonly string[] = words.toLowerCase().match(/mon|tue|wed|thu|fri|sat|sun/g) ?? [];
  return WEEK.filter((day) => named.includes(day));
}

function campaignTable(campaigns: readonly Row[]): string {
  return table(
    {
      Name: field('name'),
      State: field('status'),
      Leads: field('total_leads'),
      Steps: field('steps_count'),
      Created: time('created_at'),
    },
    campaigns,
  );
}

/** Who is not written to, by reason. */
function leftOut(report: Row): string {
  const reasons = Object.entries(asRow(report.left_out)).filter(([, number]) => Number(number) > 0);
  return reasons.length === 0
    ? ''
    : `Left out: ${series(reasons.map(([reason, number]) => `${number} ${inline(reason).replaceAll('_', ' ')}`))}.`;
}

function sendTimes(report: Row): string {
  const first = time('first_send_at')(report);
  const last = time('last_send_at')(report);
  if (first === '') return '';
  return last === '' || last === first
    ? `The first mail is due ${first} UTC.`
    : `The first mail is due ${first} UTC, the last of this step ${last} UTC.`;
}
