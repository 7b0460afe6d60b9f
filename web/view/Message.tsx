/** One message: the person's in a bubble, the agent's as its parts in order. */

import { memo } from 'react';
import type { ConversationState } from '../../src/client/conversation.ts';
import type { Approval, ErrorFact, Message, Part, ToolPart, Usage } from '../../src/client/events.ts';
import { nextOf } from '../logic/card.ts';
import { absolute } from '../logic/days.ts';
import type { Sending } from '../state/thread.ts';
import { ApprovalCard } from './approval/ApprovalCard.tsx';
import { BatchSheet } from './approval/BatchSheet.tsx';
import { useCopy } from './copy.ts';
import { Icon } from './Icon.tsx';
import { Markdown } from './Markdown.tsx';
import { useModel } from './model.tsx';
import { ToolCard } from './ToolCard.tsx';

export const UserMessage = memo(function UserMessage({ message }: { message: Message }) {
  return (
    <article id={`turn-${message.turn_id}`} tabIndex={-1} className="message user" aria-label="You">
      <div className="bubble">{message.content}</div>
      <ContextChips context={message.metadata.page_context} />
    </article>
  );
});

/** The person's message before the service has told it. */
export function SendingMessage({ sending, onEdit }: { sending: Sending; onEdit(): void }) {
  const { store } = useModel();
  const { thread } = store.get();
  return (
    <article className="message user" aria-label="You">
      <div className="bubble pale">{sending.text}</div>
      <ContextChips context={sending.body.page_context} />
      {sending.phase === 'waiting' ? (
        <p className="quiet">Not sent yet. It goes out when the connection is back.</p>
      ) : null}
      {sending.phase === 'refused' ? (
        <div className="refusal" role="alert">
          <p>
            <Icon name="warning" /> Not sent. {sending.fault?.message}
          </p>
          <button type="button" className="button small" onClick={thread.resend}>
            <Icon name="retry" /> Send again
          </button>
          <button type="button" className="button small plain" onClick={onEdit}>
            Edit
          </button>
        </div>
      ) : null}
    </article>
  );
}

/** What was sent along with a message. */
function ContextChips({ context }: { context: unknown }) {
  const labels = contextLabels(context);
  if (labels.length === 0) return null;
  return (
    <ul className="chips" aria-label="Sent along">
      {labels.map((label) => (
        <li key={label} className="chip">
          <Icon name="file" />
          {label}
        </li>
      ))}
    </ul>
  );
}

/** A short name for each thing in a page context. */
export function contextLabels(context: unknown): string[] {
  if (typeof context !== 'object' || context === null) return [];
  return Object.entries(context).map(([name, value]) => {
    if (typeof value === 'object' && value !== null) {
      const facts = new Map<string, unknown>(Object.entries(value));
      const title = facts.get('dataset_name') ?? facts.get('name') ?? facts.get('title') ?? name;
      const leads = facts.get('leads');
      return typeof leads === 'number' ? `${title} · ${leads.toLocaleString()} leads` : String(title);
    }
    const text = String(value);
    return text.length > 60 ? `${text.slice(0, 59)}…` : text;
  });
}

export interface AgentMessageProps {
  message: Message;
  /** Whether its turn is at work now. */
  live: boolean;
  progress: ConversationState['progress'];
  /** Whether it is the newest of the conversation, and what the person asked. */
  last: boolean;
  question: string | null;
}

export const AgentMessage = memo(function AgentMessage({
  message,
  live,
  progress,
  last,
  question,
}: AgentMessageProps) {
  const asked = new Set(
    message.parts.flatMap((part) => (part.type === 'approval' ? [part.approval.tool_call_id] : [])),
  );
  const waiting = message.parts.flatMap((part) =>
    part.type === 'approval' && part.approval.status === 'pending' ? [part.approval] : [],
  );
  const parts = message.parts.map((part, place) => ({ part, place }));
  return (
    <article
      className="message agent"
      aria-label="Overture"
      aria-busy={live}
      data-focus={waiting.length > 0 ? '.approval h2' : undefined}
    >
      {parts.map(({ part, place }) => (
        <PartView
          key={keyOf(part, place)}
          part={part}
          calls={message.parts}
          growing={live && place === parts.length - 1}
          progress={progress}
          asked={asked}
        />
      ))}
      {waiting.length > 1 ? <BatchSheet approvals={waiting} /> : null}
      {live && !isGrowing(message.parts) ? <Working recovering={false} /> : null}
      {live || waiting.length > 0 ? null : <MessageFoot message={message} last={last} question={question} />}
    </article>
  );
});

export function Working({ recovering }: { recovering: boolean }) {
  return (
    <p className="working">
      <span className="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      <span>{recovering ? 'Picking up where it stopped…' : 'Working…'}</span>
    </p>
  );
}

function keyOf(part: Part, place: number): string {
  if (part.type === 'tool') return part.tool_call_id;
  return part.type === 'approval' ? part.approval.approval_id : `${part.type}-${place}`;
}

/** Whether something in it shows by itself that work goes on. */
function isGrowing(parts: readonly Part[]): boolean {
  const last = parts.at(-1);
  if (last === undefined) return false;
  return (last.type === 'text' && last.text !== '') || (last.type === 'tool' && last.status === 'running');
}

interface PartProps {
  part: Part;
  calls: readonly Part[];
  growing: boolean;
  progress: ConversationState['progress'];
  asked: ReadonlySet<string>;
}

function PartView({ part, calls, growing, progress, asked }: PartProps) {
  switch (part.type) {
    case 'text':
      return part.text === '' ? null : <Markdown text={part.text} growing={growing} />;
    case 'reasoning':
      return part.text === '' ? null : (
        <details className="reasoning">
          <summary>{growing ? 'Thinking…' : 'Thought about it'}</summary>
          <Markdown text={part.text} growing={growing} />
        </details>
      );
    case 'tool':
      // A call that a person decides is told by its card.
      return asked.has(part.tool_call_id) ? null : (
        <ToolCard part={part} progress={progress[part.tool_call_id]} />
      );
    case 'approval':
      return (
        <ApprovalCard
          approval={part.approval}
          call={callOf(calls, part.approval)}
          next={nextOf(part.approval, approvalsIn(calls))}
        />
      );
    case 'file':
      return (
        <ul className="chips">
          <li className="chip">
            <Icon name="file" />
            {part.name}
          </li>
        </ul>
      );
    case 'notice':
      return (
        <p className="notice">
          <Icon name="note" /> {part.message}
        </p>
      );
  }
}

function callOf(parts: readonly Part[], approval: Approval): ToolPart | undefined {
  return parts.find(
    (part): part is ToolPart => part.type === 'tool' && part.tool_call_id === approval.tool_call_id,
  );
}

function approvalsIn(parts: readonly Part[]): Approval[] {
  return parts.flatMap((part) => (part.type === 'approval' ? [part.approval] : []));
}

/** How it ended, what it used, and what can be done with it. */
function MessageFoot({
  message,
  last,
  question,
}: {
  message: Message;
  last: boolean;
  question: string | null;
}) {
  const model = useModel();
  const { copied, copy } = useCopy();
  const { ended, error, usage } = endOf(message);
  // A turn that an expiry or another message ended says so in a notice of its own.
  const stopped =
    message.status === 'partial' && ended === 'cancelled' && message.parts.at(-1)?.type !== 'notice';
  const trouble = error?.message ?? (stopped ? 'Stopped. What was written so far is kept.' : null);
  const again = last && question !== null;
  return (
    <footer className="message-foot">
      {trouble === null ? null : (
        <p className={error === null ? 'turn-end' : 'turn-end failed'}>
          <Icon name={error === null ? 'stop' : 'warning'} />
          <span>{trouble}</span>
          {error !== null && again ? (
            <button type="button" className="button small" onClick={() => model.send(question)}>
              <Icon name="retry" /> Try again
            </button>
          ) : null}
        </p>
      )}
      <div className="message-acts">
        {message.content === '' ? null : (
          <button
            type="button"
            className="icon-button"
            aria-label={copied ? 'Copied' : 'Copy the answer'}
            title="Copy"
            onClick={() => void copy(message.content)}
          >
            <Icon name={copied ? 'check' : 'copy'} />
          </button>
        )}
        {again && error === null ? (
          <button
            type="button"
            className="icon-button"
            aria-label="Ask this again"
            title="Ask again"
            onClick={() => model.send(question)}
          >
            <Icon name="retry" />
          </button>
        ) : null}
        <span
          className="quiet usage"
          title={message.created_at === '' ? undefined : absolute(message.created_at)}
        >
          {usageWords(usage)}
        </span>
      </div>
    </footer>
  );
}

/** What the service keeps of a turn's end with its message. */
export function endOf(message: Message): { ended: unknown; error: ErrorFact | null; usage: Usage | null } {
  const { ended, error, usage } = message.metadata as { ended?: unknown; error?: ErrorFact; usage?: Usage };
  return { ended, error: error ?? null, usage: usage ?? null };
}

const SHORT = new Intl.NumberFormat(undefined, { notation: 'compact' });

function usageWords(usage: Usage | null): string {
  if (usage === null) return '';
  const tokens = usage.input_tokens + usage.output_tokens;
  const words = [
    usage.credits > 0
      ? `${usage.credits.toLocaleString()} ${usage.credits === 1 ? 'credit' : 'credits'}`
      : '',
    tokens > 0 ? `${SHORT.format(tokens)} tokens` : '',
  ];
  return words.filter((one) => one !== '').join(' · ');
}
