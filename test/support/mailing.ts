/** A stage on which mail is sent: an SMTP server, leads, a talkative model; and turns as a user goes through them. */

import { v7 } from 'uuid';
import { expect } from 'vitest';
import type { Client, SendInput } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import type { Approval, Decision, JournalEvent, Message } from '../../src/client/events.ts';
import { DEV_WORKSPACE } from '../../src/http/caller.ts';
import type { TestDatabase } from './database.ts';
import type { ScriptedToolCall } from './scripted-model.ts';
import { type SmtpServer, startSmtpServer } from './smtp-server.ts';
import { openStage, type Stage } from './stage.ts';
import { createTalk, type Talk } from './talk.ts';

export interface Mailing extends Stage {
  smtp: SmtpServer;
  talk: Talk;
  /** Adds a lead, of the local workspace unless another is named; answers its id. */
  addLead(email: string, lead?: LeadFields): Promise<string>;
  /** Adds a sender profile, by default the local user's default one; answers its id. */
  addSender(sender: {
    data: Record<string, unknown>;
    userId?: string;
    workspaceId?: string;
    isDefault?: boolean;
  }): Promise<string>;
}

export interface LeadFields {
  first?: string;
  last?: string;
  /** Default: the local one. */
  workspaceId?: string;
}

/** Adds a lead of Acme's in a dataset of its own; answers its id. */
export async function insertLead(
  database: Pick<TestDatabase, 'query'>,
  email: string,
  { first = 'Maureen', last = 'Fuentes', workspaceId = DEV_WORKSPACE }: LeadFields = {},
): Promise<string> {
  const [datasetId, leadId] = [v7(), v7()];
  await database.query(
    `insert into datasets (id, workspace_id, user_id, name, source_type) values ($1, $2, 'local', 'People', 'csv')`,
    [datasetId, workspaceId],
  );
  await database.query(
    `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, last_name, company)
     values ($1, $2, $3, 0, $4, $5, $6, 'Acme')`,
    [leadId, workspaceId, datasetId, email, first, last],
  );
  return leadId;
}

/** Opens a stage whose services send by SMTP. */
export async function openMailing(environment: Record<string, string> = {}): Promise<Mailing> {
  const smtp = await startSmtpServer();
  const stage = await openStage({ SMTP_URL: smtp.url, ...environment });
  const { database, model } = stage;
  return {
    ...stage,
    smtp,
    talk: createTalk(model),
    addLead: (email, lead) => insertLead(database, email, lead),
    async addSender({ data, userId = 'local', workspaceId = DEV_WORKSPACE, isDefault = true }) {
      const id = v7();
      if (isDefault) {
        await database.query(
          'update sender_profiles set is_default = false where workspace_id = $1 and user_id = $2',
          [workspaceId, userId],
        );
      }
      await database.query(
        `insert into sender_profiles (id, workspace_id, user_id, profile_name, sender_data, is_default)
         values ($1, $2, $3, 'Sender', $4, $5)`,
        [id, workspaceId, userId, JSON.stringify(data), isDefault],
      );
      return id;
    },
    async close() {
      await stage.close();
      await smtp.close();
    },
  };
}

/** A call of send_email to a lead, with words that pass without a warning. */
export function sendEmail(leadId: string, changes: Record<string, unknown> = {}): ScriptedToolCall {
  return {
    name: 'send_email',
    args: {
      lead_id: leadId,
      subject: 'Maps for Acme',
      body: 'Hello Maureen,\n\nshall we talk about maps?\nTo unsubscribe, answer no.\n\nAlex',
      ...changes,
    },
  };
}

export interface SaidTurn {
  threadId: string;
  turnId: string;
  /** What the POST's stream told: up to the end of the run. */
  events: JournalEvent[];
}

/** Says something and listens until the run ends. */
export async function say(
  client: Client,
  message: string,
  input: Omit<SendInput, 'message'> = {},
): Promise<SaidTurn> {
  const sent = await client.send({ message, ...input });
  const events = await collect(sent.events);
  return { threadId: sent.threadId, turnId: sent.turnId, events };
}

/** All events of a stream, up to its end. */
export async function collect(events: AsyncIterable<JournalEvent>): Promise<JournalEvent[]> {
  const collected: JournalEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

/** Everything the conversation ever told, up to where no run is live. */
export function toldSoFar(client: Client, threadId: string): Promise<JournalEvent[]> {
  return collect(client.follow(threadId, { after: 0, until: 'idle' }));
}

/** The cards that wait, in the order in which they were asked. */
export async function cardsOf(client: Client, threadId: string): Promise<Approval[]> {
  return (await client.interrupt(threadId)).interrupts;
}

/** The one card that waits. */
export async function cardOf(client: Client, threadId: string): Promise<Approval> {
  const cards = await cardsOf(client, threadId);
  expect(cards).toHaveLength(1);
  return cards[0] as Approval;
}

/** Decides as the card was shown, and waits until no run is live. */
export async function decide(
  client: Client,
  card: Approval,
  decision: Decision['decision'],
  more: Partial<Decision> = {},
): Promise<JournalEvent[]> {
  await client.decide(card.thread_id, card.approval_id, { decision, args_hash: card.args_hash, ...more });
  return toldSoFar(client, card.thread_id);
}

/** The newest assistant message, as it is stored. */
export async function lastAnswer(client: Client, threadId: string): Promise<Message> {
  const { messages } = await client.conversation(threadId);
  const answer = messages.findLast((message) => message.role === 'assistant');
  if (answer === undefined) throw new Error('there is no answer yet');
  return answer;
}

/** How the newest run ended. */
export function endOf(events: readonly JournalEvent[]): string | undefined {
  const end = events.findLast((event) => event.type === 'run-end');
  return end?.type === 'run-end' ? end.data.status : undefined;
}

/** The refusal of a request; fails where it succeeds. */
export async function refusal(request: Promise<unknown>): Promise<ClientError> {
  const outcome = await request.then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome && outcome.error instanceof ClientError) return outcome.error;
  throw new Error(`it was not refused: ${JSON.stringify(outcome)}`);
}

/** Looks until it is so; fails with what was seen last. */
export async function eventually<T>(
  look: () => Promise<T> | T,
  isSo: (seen: T) => boolean,
  everyMs = 25,
): Promise<T> {
  // Long for a machine that is busy with other things: whoever waits for a fact waits no longer than it takes.
  const until = Date.now() + 45_000;
  for (;;) {
    const seen = await look();
    if (isSo(seen)) return seen;
    if (Date.now() > until) throw new Error(`it did not come: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
