/** Tells a conversation's events to a terminal as they come. */

import type { ConversationState } from './conversation.ts';
import type { JournalEvent, Part } from './events.ts';
import { messageText, oneLine, plain, toolLine } from './terminal-text.ts';

export interface Teller {
  /** Text as it is, without what could steer a terminal. */
  write(text: string): void;
  /** A line of its own. */
  line(text: string): void;
  /** One event; `state` is the conversation with the event in it. */
  tell(event: JournalEvent, state: ConversationState): void;
}

/** Makes a teller. `isOwn` says whether a user message was typed here and needs no telling. */
export function createTeller(
  print: (text: string) => void,
  isOwn: (clientMessageId: string | undefined) => boolean,
): Teller {
  let atLineStart = true;
  let partTold = false;

  function write(text: string): void {
    const shown = plain(text);
    if (shown === '') return;
    print(shown);
    atLineStart = shown.endsWith('\n');
  }

  function endLine(): void {
    if (!atLineStart) write('\n');
  }

  function line(text: string): void {
    endLine();
    write(`${text}\n`);
  }

  function tell(event: JournalEvent, state: ConversationState): void {
    switch (event.type) {
      case 'user-message':
        if (!isOwn(event.data.client_message_id)) line(messageText(event.data.message).trimEnd());
        break;
      case 'run-start':
        if (event.data.kind === 'recovery') line('(another process took the turn over)');
        break;
      case 'text-start':
        partTold = false;
        endLine();
        break;
      case 'text-delta':
        partTold = true;
        write(event.data.delta);
        break;
      case 'text-end':
        if (!partTold) write(event.data.text);
        endLine();
        break;
      case 'message-reset':
        line('(told anew from here)');
        break;
      case 'tool-progress':
        line(`· ${event.data.done} of ${event.data.total} ${oneLine(event.data.note, 100)}`);
        break;
      case 'tool-end': {
        const part = findPart(
          state,
          (each) => each.type === 'tool' && each.tool_call_id === event.data.tool_call_id,
        );
        if (part?.type === 'tool') line(toolLine(part));
        break;
      }
      case 'approval-request':
        line(`· needs your decision: ${oneLine(event.data.approval.title, 200)}`);
        break;
      case 'approval-end': {
        const part = findPart(
          state,
          (each) => each.type === 'approval' && each.approval.approval_id === event.data.approval_id,
        );
        const title = part?.type === 'approval' ? part.approval.title : event.data.approval_id;
        line(`· ${event.data.status}: ${oneLine(title, 200)}`);
        break;
      }
      case 'notice':
        line(`! ${oneLine(event.data.message, 400)}`);
        break;
      case 'snapshot':
        line('(the events are too old to be told again; the conversation as it stands:)');
        write(state.messages.map(messageText).join(''));
        break;
      case 'run-end': {
        const { status, error, usage } = event.data;
        endLine();
        if (error !== undefined) line(`! ${error.code}: ${oneLine(error.message, 400)}`);
        else if (status === 'failed') line('(failed)');
        if (status === 'cancelled') line('(cancelled)');
        if (status === 'lost') line('(the run was lost; another process will go on)');
        if (usage.credits > 0) line(`(${usage.credits} credits)`);
        break;
      }
      default:
        break;
    }
  }

  return { write, line, tell };
}

function findPart(state: ConversationState, fits: (part: Part) => boolean): Part | undefined {
  return state.messages.flatMap((message) => message.parts).findLast(fits);
}
