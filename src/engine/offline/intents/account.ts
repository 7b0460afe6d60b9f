/** What belongs to the workspace: credits, sender profiles, templates, the outbox. */

import { readingIntent } from '../intent.ts';
import { count, draftInFull, field, heading, inline, paragraphs, table, time } from '../replies.ts';
import { numberAt, rowsAt, textAt } from '../scene.ts';
import { core, limitIn, sameText, unquote } from '../words.ts';

const CREDITS = /^(?:credits?|credits? balance|balance|account balance|credits? (?:spent|used))$/;
const SENDERS =
  /^(?:(?:sender|sending)s?(?: (?:profiles?|address(?:es)?|identit(?:y|ies)|accounts?))?|from address(?:es)?|profiles?)$/;
const ASKS_SENDER =
  /^(?:who|what|which (?:name|address|profile|sender)) (?:do|can|will|would|am) (?:i|we) (?:send|sending|mail|mailing|write)(?: (?:e-?mails?|mails?))?(?: (?:as|from|with))?$/i;
const TEMPLATES = /^(?:(?:e-?mail|mail|message)s? )?templates?$/;
const NAMED_TEMPLATE =
  /^(?:show|open|see|view|read|display|print)(?: me)? (?:the |my |our )?(?:template (?:called |named )?(.+)|(.+) template)$/i;
const OUTBOX =
  /^(?:outbox|outgoing (?:e-?mails?|mails?)|sent|sent (?:items|e-?mails?|mails?)|e-?mails|mails|(?:e-?mails?|mails?) (?:sent|went out|gone out))$/;
const ASKS_SENT =
  /^(?:what|which (?:e-?mails?|mails?)|who|whom) (?:did|have|has) (?:i|we|you) (?:already )?(?:sent|send|mailed|mail|e-?mailed|e-?mail|written to)(?: so far)?$|^did (?:the|my|any|that) (?:e-?mails?|mails?) go out$/i;

export const accountIntents = [
  readingIntent({
    example: 'How many credits do I have?',
    suggested: true,
    tool: 'get_credit_balance',
    what: 'your credits',
    read: ({ said }) => (CREDITS.test(core(said)) ? {} : undefined),
    tell: (result) =>
      `You have **${count(numberAt(result, 'available_credits', 0), 'credit')}** left: ` +
      `${numberAt(result, 'used_credits', 0)} of ${numberAt(result, 'total_credits', 0)} are used.`,
  }),
  readingIntent({
    example: 'What is in the outbox?',
    tool: 'list_outbox',
    what: 'the outbox',
    read: ({ said }) => (OUTBOX.test(core(said)) || ASKS_SENT.test(said) ? limitIn(said) : undefined),
    tell(result) {
      const mails = rowsAt(result, 'mails');
      if (mails.length === 0) return 'The outbox is empty: no email was sent or kept yet.';
      const columns = { To: field('to'), Subject: field('subject'), Status: field('status') };
      return paragraphs(
        heading(result, mails.length, 'email', ' in the outbox'),
        table({ ...columns, Created: time('created_at'), Sent: time('sent_at') }, mails),
        mails.some((mail) => mail.status === 'sandbox')
          ? 'Status sandbox: the email is kept here, nothing left this machine.'
          : '',
      );
    },
  }),
  readingIntent({
    example: 'Show my sender profiles',
    tool: 'list_sender_profiles',
    what: 'your sender profiles',
    read: ({ said }) => (SENDERS.test(core(said)) || ASKS_SENDER.test(said) ? {} : undefined),
    tell(result) {
      const profiles = rowsAt(result, 'sender_profiles');
      if (profiles.length === 0)
        return 'There is no sender profile yet. One is needed before an email can be sent.';
      const columns = {
        Profile: field('name'),
        'From name': field('from_name'),
        'From address': field('from_email'),
      };
      return paragraphs(
        heading(result, profiles.length, 'sender profile'),
        table(
          {
            ...columns,
            'Postal address': field('postal_address'),
            Default: (row) => row.is_default === true,
          },
          profiles,
        ),
      );
    },
  }),
  readingIntent({
    example: 'List my templates',
    tool: 'list_templates',
    what: 'your templates',
    read: ({ said }) => (TEMPLATES.test(core(said)) || NAMED_TEMPLATE.test(said) ? {} : undefined),
    tell(result, { said }) {
      const templates = rowsAt(result, 'templates');
      if (templates.length === 0) return 'There is no template yet.';
      const asked = TEMPLATES.test(core(said))
        ? undefined
        : NAMED_TEMPLATE.exec(said)?.slice(1).find(Boolean);
      const one = asked && templates.find((template) => sameText(textAt(template, 'name'), unquote(asked)));
      if (one) return paragraphs(`**${inline(textAt(one, 'name'))}**`, draftInFull(one));
      return paragraphs(
        asked ? `I found no template named ${inline(unquote(asked))}.` : '',
        heading(result, templates.length, 'template'),
        table(
          {
            Template: field('name'),
            Subject: field('subject'),
            Variables: ({ variables }) => (Array.isArray(variables) ? variables.join(', ') : ''),
          },
          templates,
        ),
      );
    },
  }),
];
