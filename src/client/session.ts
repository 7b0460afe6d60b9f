/** The terminal chat's course: messages, streamed answers, approvals, commands. Knows no terminal; chat.ts gives it one. */

import type { Client } from './client.ts';
import { applyEvent, type ConversationState, createConversationState } from './conversation.ts';
import { ClientError } from './errors.ts';
import type { JournalEvent } from './events.ts';
import { createTeller } from './teller.ts';
import { askApproval } from './terminal-approval.ts';
import { messageText, oneLine } from './terminal-text.ts';

export interface Terminal {
  write(text: string): void;
  /** Asks for one line; null at the end of the input. `fresh`: what was typed before the question does not answer it. */
  ask(question: string, fresh?: boolean): Promise<string | null>;
}

export interface Session {
  /** Talks until the input ends or `/quit`; opens a conversation first where one is named. */
  run(threadId?: string): Promise<void>;
  /** Cancels the live turn; false where none is live. */
  cancel(): boolean;
}

const HELP = `Type a message, or:
  /new          begin another conversation
  /list         your conversations
  /open <id>    open one, by its id or its number in the list
  /approvals    decide what waits in this conversation
  /quit         leave (a turn that runs goes on without you)`;

/** Makes one chat session. */
export function createSession(needs: { client: Client; terminal: Terminal }): Session {
  const { client, terminal } = needs;
  let state: ConversationState = createConversationState();
  let threadId: string | undefined;
  let listed: string[] = [];
  let live: { turnId: string | undefined; abort: AbortController } | undefined;
  let later = new Set<string>();
  let sentId = '';
  const teller = createTeller(terminal.write, (clientMessageId) => clientMessageId === sentId);
  const { line } = teller;

  function enter(next: ConversationState, id: string | undefined): void {
    state = next;
    threadId = id;
    later = new Set();
  }

  /** Tells what comes until it ends. While it lasts there is something to cancel. */
  async function tell(
    turnId: string | undefined,
    open: (signal: AbortSignal) => AsyncIterable<JournalEvent> | Promise<AsyncIterable<JournalEvent>>,
  ): Promise<void> {
    const mine = { turnId, abort: new AbortController() };
    live = mine;
    try {
      for await (const event of await open(mine.abort.signal)) {
        const next = applyEvent(state, event);
        if (next === state) continue;
        state = next;
        mine.turnId = event.data.turn_id ?? mine.turnId;
        teller.tell(event, state);
      }
    } finally {
      live = undefined;
    }
  }

  function tellError(error: unknown): void {
    if (error instanceof ClientError) {
      const wait = error.retryAfter === null ? '' : ` (in ${error.retryAfter} s)`;
      line(`! ${error.code}: ${oneLine(error.message, 400)}${wait}`);
    } else if (error instanceof Error && error.name === 'AbortError') {
      line('(given up)');
    } else {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      line(`! The service cannot be reached: ${oneLine(String(cause), 200)}`);
    }
  }

  function onConnection(connection: 'open' | 'lost'): void {
    if (connection === 'lost') line('(no connection; trying again)');
  }

  async function say(message: string, supersede = false): Promise<void> {
    sentId = crypto.randomUUID();
    const pending = supersede ? ({ on_pending: 'supersede' } as const) : {};
    try {
      await tell(undefined, async (signal) => {
        const turn = await client.send(
          { thread_id: threadId, message, client_message_id: sentId, ...pending },
          { signal, onConnection },
        );
        if (threadId === undefined) line(`(conversation ${turn.threadId})`);
        threadId = turn.threadId;
        if (live !== undefined) live.turnId = turn.turnId;
        return turn.events;
      });
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'APPROVAL_PENDING') throw error;
      tellError(error);
      const answer = await terminal.ask('[d]ecide now / [s]et them aside and send / [n]either: ', true);
      if (answer === 's') return say(message, true);
      line('(your message was not sent)');
      if (answer !== 'd') return;
      later = new Set();
    }
    await decidePending();
  }

  async function open(id: string): Promise<void> {
    const detail = await client.conversation(id);
    enter(createConversationState(detail), detail.thread_id);
    line(`(conversation ${detail.thread_id}: ${oneLine(detail.title ?? 'untitled', 100)})`);
    if (detail.has_more) line('(older messages are left out)');
    for (const message of detail.messages) teller.write(messageText(message));
    if (detail.status === 'running') await followUntilIdle(detail.thread_id);
    await decidePending();
  }

  /** Asks for every pending approval in turn, then tells what follows; again while new ones come up. */
  async function decidePending(): Promise<void> {
    while (threadId !== undefined) {
      const id = threadId;
      const { interrupts } = await client.interrupt(id);
      const waiting = interrupts.filter((approval) => !later.has(approval.approval_id));
      if (waiting.length === 0) return;
      const decided = new Set<string>();
      for (const approval of waiting) {
        const outcome = await askApproval({ client, teller, ask: terminal.ask, tellError }, approval);
        if (outcome === 'decided') decided.add(approval.approval_id);
        if (outcome === 'later') later.add(approval.approval_id);
      }
      if (decided.size > 0) await followDecided(id, decided);
      else if ((await client.conversation(id)).status === 'running') await followUntilIdle(id);
    }
  }

  function followUntilIdle(id: string): Promise<void> {
    return tell(state.run.turnId ?? undefined, (signal) =>
      client.follow(id, { after: cursor(), until: 'idle', signal, onConnection }),
    );
  }

  /** The run that a decision starts may begin after its answer: an end counts once all decisions were told. */
  function followDecided(id: string, decided: Set<string>): Promise<void> {
    const untold = new Set(decided);
    const until = (event: JournalEvent): boolean => {
      if (event.type === 'approval-end') untold.delete(event.data.approval_id);
      return event.type === 'run-end' && event.data.status !== 'lost' && untold.size === 0;
    };
    return tell(state.run.turnId ?? undefined, (signal) =>
      client.follow(id, { after: cursor(), until, signal, onConnection }),
    );
  }

  function cursor(): number | undefined {
    return state.lastSeq < 0 ? undefined : state.lastSeq;
  }

  async function list(): Promise<void> {
    const { conversations } = await client.conversations({ limit: 20 });
    listed = conversations.map((each) => each.thread_id);
    if (listed.length === 0) line('(no conversations yet)');
    for (const [index, each] of conversations.entries()) {
      const title = oneLine(each.title ?? each.last_message_preview ?? 'untitled', 60);
      line(`${String(index + 1).padStart(3)}  ${each.thread_id}  ${each.status}  ${title}`);
    }
  }

  async function obey(text: string): Promise<void> {
    const [command, argument = ''] = text.split(/\s+/);
    if (!text.startsWith('/')) {
      await say(text);
    } else if (command === '/new') {
      enter(createConversationState(), undefined);
      line('(a new conversation)');
    } else if (command === '/list') {
      await list();
    } else if (command === '/open' && argument !== '') {
      await open(listed[Number(argument) - 1] ?? argument);
    } else if (command === '/approvals') {
      later = new Set();
      await decidePending();
    } else {
      line(HELP);
    }
  }

  return {
    async run(firstThread) {
      if (firstThread !== undefined) await open(firstThread).catch(tellError);
      for (;;) {
        const text = (await terminal.ask('you> '))?.trim();
        if (text === undefined || text === '/quit') break;
        if (text !== '') await obey(text).catch(tellError);
      }
      if (threadId !== undefined) line(`(open it again with --thread ${threadId})`);
    },

    cancel() {
      if (live === undefined) return false;
      if (threadId === undefined || live.turnId === undefined) live.abort.abort();
      else client.cancel(threadId, live.turnId).catch(tellError);
      return true;
    },
  };
}
