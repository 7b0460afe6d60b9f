/** How a conversation looks as plain text in a terminal. Pure; nothing here writes. */

import type { Approval, Message, Part, Preview, ToolPart } from './events.ts';

/** Rendered texts shown with a card before `view` is asked for. */
const PREVIEWS_SHOWN = 3;
const ARGUMENTS_WIDTH = 100;
const RESULT_WIDTH = 120;

/**
 * Text without control characters (C0, C1; newline and tab stay) and without marks that turn the reading direction: what
 * the service or a model sends can then neither steer the terminal nor show an approval other than it is.
 */
export function plain(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]|\p{Bidi_Control}/gu, '');
}

/** Text as one line of at most `width` characters. */
export function oneLine(text: string, width: number): string {
  const line = plain(text).replace(/\s+/gu, ' ').trim();
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}

/** A tool call as one line: name, arguments, how it ended. */
export function toolLine(part: ToolPart): string {
  const args = Object.keys(part.args).length === 0 ? '' : ` ${JSON.stringify(part.args)}`;
  const told = part.error?.message ?? (part.result === undefined ? '' : JSON.stringify(part.result));
  const outcome = part.status === 'ok' ? 'ok' : part.status;
  return `· ${oneLine(part.name, 60)}${oneLine(args, ARGUMENTS_WIDTH) && ` ${oneLine(args, ARGUMENTS_WIDTH)}`} → ${outcome}${told && `: ${oneLine(told, RESULT_WIDTH)}`}`;
}

/**
 * The approval card: what is asked, why, the facts, the warnings, what will be sent, what follows, until when. Every line
 * of it carries a bar at the left, so that no text in it can pass for the terminal's own.
 */
export function approvalCard(approval: Approval, now: number): string {
  const lines = [approval.reason, ''];
  for (const fact of approval.facts) lines.push(`${fact.label}: ${fact.value}`);
  for (const warning of approval.warnings) lines.push(`! ${warning.severity}: ${warning.message}`);
  lines.push(...previewLines(approval.preview.slice(0, PREVIEWS_SHOWN), approval.preview.length));
  const more = approval.preview.length - PREVIEWS_SHOWN;
  if (more > 0) lines.push('', `… and ${more} more ([v]iew shows them)`);
  lines.push('', `Consequence: ${approval.consequence}`, `Expires: ${expiryText(approval.expires_at, now)}`);
  return `┌ Needs your decision: ${oneLine(approval.title, 200)}\n${barred(lines)}└\n`;
}

/** Whether the card leaves previews out. */
export function hasMorePreviews(approval: Approval): boolean {
  return approval.preview.length > PREVIEWS_SHOWN;
}

/** All previews of an approval. */
export function previewText(approval: Approval): string {
  return barred(previewLines(approval.preview, approval.preview.length));
}

/** A stored message, part by part. */
export function messageText(message: Message): string {
  if (message.role === 'user') return `you> ${plain(message.content).replaceAll('\n', '\n   | ')}\n`;
  const texts = message.parts.map(partText).filter((text) => text !== '');
  if (texts.length === 0 && message.content !== '') texts.push(plain(message.content));
  return texts.map((text) => `${text}\n`).join('');
}

function partText(part: Part): string {
  switch (part.type) {
    case 'text':
      return plain(part.text);
    case 'tool':
      return toolLine(part);
    case 'approval':
      return `· ${part.approval.status}: ${oneLine(part.approval.title, 200)}`;
    case 'file':
      return `· file: ${oneLine(part.name, 200)}`;
    case 'notice':
      return `! ${oneLine(part.message, 400)}`;
    default:
      return '';
  }
}

function previewLines(previews: Preview[], total: number): string[] {
  return previews.flatMap((preview, index) => {
    const heads = [
      ['From', preview.from],
      ['To', preview.to],
      ['Subject', preview.subject],
    ].flatMap(([name, value]) => (value === undefined ? [] : [`  ${name}: ${oneLine(value, 300)}`]));
    const body =
      preview.body === undefined ? [] : ['', ...preview.body.split('\n').map((line) => `  ${line}`)];
    return ['', total === 1 ? 'Preview' : `Preview ${index + 1} of ${total}`, ...heads, ...body];
  });
}

function barred(lines: string[]): string {
  return lines
    .flatMap((line) => plain(line).split('\n'))
    .map((line) => `│ ${line}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('');
}

function expiryText(expiresAt: string, now: number): string {
  const minutes = Math.floor((Date.parse(expiresAt) - now) / 60_000);
  if (Number.isNaN(minutes)) return expiresAt;
  if (minutes < 0) return `${expiresAt} (over)`;
  if (minutes < 120) return `${expiresAt} (in ${minutes} min)`;
  return `${expiresAt} (in ${Math.floor(minutes / 60)} h)`;
}
