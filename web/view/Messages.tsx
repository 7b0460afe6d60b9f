/** The messages of a conversation: the newest few are in the page, and reading is never disturbed by what arrives. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { pendingApprovals } from '../../src/client/conversation.ts';
import type { Message } from '../../src/client/events.ts';
import { dayLabel } from '../logic/days.ts';
import { keyOf, type Thread, type ThreadState } from '../state/thread.ts';
import { Icon } from './Icon.tsx';
import { AgentMessage, SendingMessage, UserMessage, Working } from './Message.tsx';
import { useModel } from './model.tsx';
import { CARD_SHOWN } from './shown.ts';

/** Messages in the page at first, and how many more each "Show earlier" brings. */
const SHOWN = 40;
/** So near to the end counts as being there. */
const AT_END_PX = 48;

export function Messages({
  thread,
  state,
  onEdit,
}: {
  thread: Thread;
  state: ThreadState;
  onEdit(text: string): void;
}) {
  const model = useModel();
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState(SHOWN);
  const [away, setAway] = useState(false);
  const atEnd = useRef(true);
  /** The distance from the foot that is kept while older messages come in above. */
  const keep = useRef<number | null>(null);
  /** Cards that were brought into view once. */
  const seen = useRef(new Set<string>());
  const { conversation, sending } = state;
  const { messages, run } = conversation;
  const pending = useMemo(() => pendingApprovals(conversation), [conversation]);
  const visible = messages.slice(-shown);
  const hidden = messages.length - visible.length;
  const live = run.status === 'running' || run.status === 'recovering';
  const started = state.phase === 'ready';

  // Before the picture is painted: stay at the end; older messages that came in above move nothing.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null || !started) return;
    if (keep.current !== null) element.scrollTop = element.scrollHeight - keep.current;
    else if (atEnd.current) element.scrollTop = element.scrollHeight;
    keep.current = null;
  });

  // A card that waits is brought to where it is read from its top, unless a person reads elsewhere.
  const pendingIds = useRef<ReadonlySet<string>>(new Set());
  pendingIds.current = new Set(pending.map((approval) => approval.approval_id));
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const bring = (id: string) => {
      const card = cardOf(element, id);
      const { approvalId: linked, turnId } = model.router.store.get();
      if (card === null || seen.current.has(id) || (id !== linked && !pendingIds.current.has(id))) return;
      seen.current.add(id);
      // A link to a card is followed wherever one reads; a card that comes by itself only moves who is at the end.
      if (id !== linked && (linked !== null || turnId !== null || !atEnd.current)) return;
      showTop(element, card);
      atEnd.current = isAtEnd(element);
      setAway(!atEnd.current);
    };
    const shown = (event: Event) => {
      if (event instanceof CustomEvent) bring(String(event.detail));
    };
    const { approvalId } = model.router.store.get();
    for (const id of [...pendingIds.current, ...(approvalId === null ? [] : [approvalId])]) bring(id);
    element.addEventListener(CARD_SHOWN, shown);
    return () => element.removeEventListener(CARD_SHOWN, shown);
  }, [model]);

  // Text is laid out after it was rendered (fonts, tables), and a person may turn a phone.
  useEffect(() => {
    const element = scroller.current;
    if (element === null || content.current === null) return;
    const observer = new ResizeObserver(() => {
      if (atEnd.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    if (live) observer.observe(content.current);
    return () => observer.disconnect();
  }, [live]);

  // Whoever says something wants to see it.
  const sendingKey = sending?.key;
  useLayoutEffect(() => {
    const element = scroller.current;
    if (sendingKey === undefined || element === null) return;
    atEnd.current = true;
    setAway(false);
    element.scrollTop = element.scrollHeight;
  }, [sendingKey]);

  function earlier(): void {
    const element = scroller.current;
    if (element !== null) keep.current = element.scrollHeight - element.scrollTop;
    if (hidden < SHOWN && state.olderCursor !== null) void thread.loadOlder();
    setShown(shown + SHOWN);
  }

  const last = visible.at(-1);
  const waitingForFirst =
    (live && last?.role === 'user') ||
    (sending?.phase === 'sending' && started) ||
    (state.phase === 'new' && sending?.phase === 'sending');
  return (
    <div
      ref={scroller}
      className="messages"
      onScroll={(event) => {
        atEnd.current = isAtEnd(event.currentTarget);
        setAway(!atEnd.current);
      }}
    >
      <div ref={content} className="messages-inner">
        {hidden > 0 || state.olderCursor !== null ? (
          <p className="earlier">
            <button type="button" className="button small" onClick={earlier}>
              {state.loadingOlder ? 'Reading…' : 'Show earlier messages'}
            </button>
          </p>
        ) : null}
        {visible.map((message, place) => (
          <DayAndMessage
            key={viewKey(message)}
            message={message}
            before={visible[place - 1]}
            live={live && message.role === 'assistant' && message.turn_id === run.turnId}
            last={message === last && sending === null}
            question={questionOf(visible, place)}
            state={state}
          />
        ))}
        {sending === null ? null : (
          <SendingMessage key={sending.key} sending={sending} onEdit={() => onEdit(thread.unsend())} />
        )}
        {waitingForFirst ? <Working recovering={run.status === 'recovering'} /> : null}
      </div>
      <Returns
        away={away}
        scroller={scroller}
        pending={pending.map((approval) => ({ id: approval.approval_id, title: approval.title }))}
        live={live}
        onEnd={() => {
          const element = scroller.current;
          if (element === null) return;
          atEnd.current = true;
          setAway(false);
          element.scrollTop = element.scrollHeight;
        }}
      />
    </div>
  );
}

/** The person's message keeps its place in the page when the service tells it; the agent's keeps its when it is stored. */
function viewKey(message: Message): string {
  if (message.role === 'assistant') return `agent-${message.turn_id}`;
  const key = keyOf(message);
  return typeof key === 'string' ? key : message.id;
}

function DayAndMessage({
  message,
  before,
  live,
  last,
  question,
  state,
}: {
  message: Message;
  before: Message | undefined;
  live: boolean;
  last: boolean;
  question: string | null;
  state: ThreadState;
}) {
  const now = Date.now();
  const day = message.created_at === '' ? null : dayLabel(message.created_at, now);
  const newDay =
    day !== null &&
    before !== undefined &&
    before.created_at !== '' &&
    dayLabel(before.created_at, now) !== day;
  return (
    <>
      {newDay ? <p className="day">{day}</p> : null}
      {message.role === 'user' ? (
        <UserMessage message={message} />
      ) : (
        <AgentMessage
          message={message}
          live={live}
          progress={live ? state.conversation.progress : NO_PROGRESS}
          last={last}
          question={question}
        />
      )}
    </>
  );
}

const NO_PROGRESS = {};

/** What the person said before this message. */
function questionOf(messages: readonly Message[], place: number): string | null {
  const before = messages[place - 1];
  return before?.role === 'user' ? before.content : null;
}

function isAtEnd(element: HTMLElement): boolean {
  return element.scrollHeight - element.scrollTop - element.clientHeight < AT_END_PX;
}

function cardOf(scroller: HTMLElement, approvalId: string): HTMLElement | null {
  return scroller.querySelector(`#approval-${CSS.escape(approvalId)}`);
}

function showTop(scroller: HTMLElement, card: HTMLElement): void {
  scroller.scrollTop += card.getBoundingClientRect().top - scroller.getBoundingClientRect().top - 12;
}

/** Ways back: to the end, and to a card that waits out of sight. */
function Returns({
  away,
  scroller,
  pending,
  live,
  onEnd,
}: {
  away: boolean;
  scroller: { current: HTMLDivElement | null };
  pending: readonly { id: string; title: string }[];
  live: boolean;
  onEnd(): void;
}) {
  const ids = pending.map(({ id }) => id).join(' ');
  const [inSight, setInSight] = useState(true);
  useEffect(() => {
    const element = scroller.current;
    if (element === null || ids === '') return setInSight(true);
    const sights = new Map<Element, boolean>();
    const observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) sights.set(entry.target, entry.isIntersecting);
        setInSight([...sights.values()].some(Boolean));
      },
      { root: element },
    );
    for (const id of ids.split(' ')) {
      const card = cardOf(element, id);
      if (card !== null) observer.observe(card);
    }
    return () => observer.disconnect();
  }, [ids, scroller]);

  const [first] = pending;
  if (first !== undefined && !inSight) {
    return (
      <div className="returns">
        <button
          type="button"
          className="button strip"
          onClick={() => {
            const element = scroller.current;
            const card = element === null ? null : cardOf(element, first.id);
            if (element === null || card === null) return;
            showTop(element, card);
            card.querySelector<HTMLElement>('h2')?.focus({ preventScroll: true });
          }}
        >
          <Icon name="clock" />
          <span>
            {pending.length === 1 ? '1 approval waits: ' : `${pending.length} approvals wait: `}
            {first.title}
          </span>
          <strong>Review</strong>
        </button>
      </div>
    );
  }
  // Below a card that waits there is nothing to go to.
  if (!away || first !== undefined) return null;
  return (
    <div className="returns">
      <button type="button" className="button latest" onClick={onEnd}>
        <Icon name="down" /> {live ? 'Follow the answer' : 'Latest'}
      </button>
    </div>
  );
}
