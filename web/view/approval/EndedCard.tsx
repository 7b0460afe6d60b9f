/** The card after its end: who decided, when, with which edits, and what came of it. The rest is folded and stays. */

import type { Approval, DecisionKind, ToolPart } from '../../../src/client/events.ts';
import { outcomeOf, whoDecided } from '../../logic/card.ts';
import { absolute, relative } from '../../logic/days.ts';
import { layOut } from '../../logic/facts.ts';
import { Icon } from '../Icon.tsx';
import { useModel, useNow, useStore, useSurroundings } from '../model.tsx';
import { Checks } from './Checks.tsx';
import { EditDiff } from './EditDiff.tsx';
import { Facts } from './Facts.tsx';
import { Previews } from './Previews.tsx';

export interface EndedCardProps {
  /** With the status that it has for this page. */
  approval: Approval;
  call: ToolPart | undefined;
  next: Approval['kind'] | null;
}

export function EndedCard({ approval, call, next }: EndedCardProps) {
  const { status } = approval;
  const LaunchEnd = useSurroundings().extras?.LaunchEnd;
  const outcome = outcomeOf(approval, call, next);
  return (
    <>
      {status === 'approved' || status === 'rejected' ? <Decided approval={approval} /> : null}
      <p className={`outcome outcome-${outcome.tone}`}>
        {outcome.tone === 'busy' ? (
          <span className="spinner" />
        ) : (
          <Icon name={outcome.tone === 'good' ? 'check' : outcome.tone === 'bad' ? 'warning' : 'note'} />
        )}
        <span>{outcome.words}</span>
      </p>
      {LaunchEnd && approval.tool === 'launch_campaign' && outcome.tone === 'good' ? (
        <LaunchEnd approval={approval} />
      ) : null}
      {approval.executed_args === undefined ? null : (
        <EditDiff approval={approval} args={approval.executed_args} title="Edited before approval" />
      )}
      <details className="raw">
        <summary>What was proposed</summary>
        <Facts facts={approval.facts} before={null} />
        {approval.warnings.length > 0 ? <Checks warnings={approval.warnings} /> : null}
        <Previews previews={approval.preview} caption={layOut(approval.facts).caption} checking={false} />
      </details>
      {status === 'expired' ? <AskAgain title={approval.title} /> : null}
    </>
  );
}

const ANSWERS: Partial<Record<DecisionKind, string>> = {
  edit: 'approved this with edits',
  mark_done: 'said that it happened',
  mark_failed: 'said that it did not happen',
  retry: 'let it be done again',
};

function Decided({ approval }: { approval: Approval }) {
  const { session } = useModel();
  const now = useNow(30_000);
  const me = useStore(session.store, (state) => state.user?.userId);
  const { decision, decided_at: at, decision_reason: reason } = approval;
  const plain = approval.status === 'rejected' ? 'rejected this' : 'approved this';
  return (
    <p className="decided">
      {whoDecided(approval.decided_by, me)} {(decision && ANSWERS[decision]) ?? plain}
      {at === undefined ? null : (
        <>
          {' '}
          <time dateTime={at} title={absolute(at)}>
            {relative(at, now)}
          </time>
        </>
      )}
      {reason ? <q>{reason}</q> : null}
    </p>
  );
}

/** Only in its own conversation can it be asked for again. */
function AskAgain({ title }: { title: string }) {
  const model = useModel();
  const inThread = useStore(model.router.store, (state) => state.place.at === 'chat');
  if (!inThread) return null;
  return (
    <p>
      <button
        type="button"
        className="button small"
        onClick={() => model.send(`The approval “${title}” has expired. Please propose it again.`)}
      >
        <Icon name="retry" /> Ask again
      </button>
    </p>
  );
}
