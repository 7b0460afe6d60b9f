/** The card on which a person decides, from its first picture to what came of it: it stays in its conversation for ever. */

import { type ReactNode, useEffect, useId, useLayoutEffect, useRef } from 'react';
import type { Approval, ToolPart } from '../../../src/client/events.ts';
import { expiryOf } from '../../logic/card.ts';
import { absolute, relative } from '../../logic/days.ts';
import { type DecisionState, standing } from '../../state/decisions.ts';
import { useNow, useStore, useSurroundings } from '../model.tsx';
import { CARD_SHOWN } from '../shown.ts';
import { EndedCard } from './EndedCard.tsx';
import { OpenCard } from './OpenCard.tsx';
import { StatusTag } from './StatusTag.tsx';

export interface ApprovalCardProps {
  approval: Approval;
  /** Its tool call, where the conversation is at hand. */
  call: ToolPart | undefined;
  /** The kind of the card that was asked next for the same call. */
  next: Approval['kind'] | null;
  /** The way to its conversation, where it stands elsewhere. */
  aside?: ReactNode;
}

export function ApprovalCard({ approval: told, call, next, aside }: ApprovalCardProps) {
  const { model, extras } = useSurroundings();
  const decision = useStore(model.decisions.store, (state) => state.byId[told.approval_id]);
  const linked = useStore(model.router.store, (state) => state.approvalId === told.approval_id);
  const now = useNow(15_000);
  const card = useRef<HTMLElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const titleId = useId();
  const approval = settled(standing(told, decision), decision, now);
  const away = aside !== undefined;
  const live = approval.status === 'pending';

  // A conversation brings a card to where it is read from its top, once it is there.
  useLayoutEffect(() => {
    card.current?.dispatchEvent(new CustomEvent(CARD_SHOWN, { bubbles: true, detail: told.approval_id }));
  }, [told.approval_id]);

  useEffect(() => {
    if (!linked) return;
    if (away) card.current?.scrollIntoView({ block: 'start' });
    heading.current?.focus({ preventScroll: true });
  }, [linked, away]);

  return (
    <section
      ref={card}
      id={`approval-${approval.approval_id}`}
      className={`approval ${live ? 'waiting' : 'ended'} ${linked ? 'linked' : ''}`}
      aria-labelledby={titleId}
      data-status={told.status}
      data-focus="h2"
    >
      <header className="approval-head">
        <StatusTag approval={approval} />
        {live ? <Expiry approval={approval} now={now} /> : null}
        {aside}
      </header>
      <h2 id={titleId} ref={heading} tabIndex={-1}>
        <Title text={approval.title} />
      </h2>
      {extras && <extras.Asked approval={approval} />}
      {live ? (
        <OpenCard key={approval.args_hash} approval={approval} />
      ) : (
        <EndedCard approval={approval} call={call} next={next} />
      )}
    </section>
  );
}

/** The card with the status that it has for who looks at it now: a recorded decision and the clock are ahead of the journal. */
function settled(approval: Approval, state: DecisionState | undefined, now: number): Approval {
  if (approval.status !== 'pending') return approval;
  if (state?.phase === 'recorded') {
    return { ...approval, status: state.decision?.decision === 'reject' ? 'rejected' : 'approved' };
  }
  return expiryOf(approval, now) === 'over' ? { ...approval, status: 'expired' } : approval;
}

/** An address in the title is told, not shouted. */
function Title({ text }: { text: string }) {
  const [, words, address, rest] = /^(.+?)\s*<([^<>\s]+@[^<>\s]+)>(.*)$/.exec(text) ?? [];
  if (address === undefined) return text;
  return (
    <>
      {words}
      {rest} <span className="title-address">{address}</span>
    </>
  );
}

function Expiry({ approval, now }: { approval: Approval; now: number }) {
  return (
    <time
      className={`expiry ${expiryOf(approval, now)}`}
      dateTime={approval.expires_at}
      title={absolute(approval.expires_at)}
    >
      Expires {relative(approval.expires_at, now)}
    </time>
  );
}
