/** Asks what became of an act whose fate nobody knows. */

import type { Approval, DecisionKind } from '../../../src/client/events.ts';

const OUTCOMES: { kind: DecisionKind; label: string; hint: string }[] = [
  { kind: 'mark_done', label: 'It happened', hint: 'The agent goes on as if it had heard so itself.' },
  { kind: 'mark_failed', label: 'It did not happen', hint: 'The agent is told that it failed.' },
  { kind: 'retry', label: 'Do it again', hint: 'It may then have happened twice.' },
];

export interface OutcomeButtonsProps {
  approval: Approval;
  sending: DecisionKind | null;
  decide(kind: DecisionKind): void;
}

export function OutcomeButtons({ approval, sending, decide }: OutcomeButtonsProps) {
  const allowed = OUTCOMES.filter(({ kind }) => approval.allowed_decisions.includes(kind));
  return (
    <ul className="outcomes">
      {allowed.map(({ kind, label, hint }) => (
        <li key={kind}>
          <button
            type="button"
            className={kind === 'retry' ? 'button danger' : 'button'}
            disabled={sending !== null}
            onClick={() => decide(kind)}
          >
            {sending === kind ? <span className="spinner" /> : null}
            {label}
          </button>
          <span className="quiet">{hint}</span>
        </li>
      ))}
    </ul>
  );
}
