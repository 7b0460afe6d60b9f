/** Several cards of one turn on one sheet: tick, then decide together. It touches this turn and nothing else. */

import { useState } from 'react';
import type { Approval } from '../../../src/client/events.ts';
import { expiryOf, type Grade, gradeOf, numberToType } from '../../logic/card.ts';
import { amountsOf, sumOf } from '../../logic/facts.ts';
import { Icon } from '../Icon.tsx';
import { useModel, useNow, useStore } from '../model.tsx';
import { GRADES } from './Checks.tsx';

export function BatchSheet({ approvals }: { approvals: readonly Approval[] }) {
  const { decisions, store } = useModel();
  const available = useStore(store, (state) => state.credits);
  const states = useStore(decisions.store, (state) => state.byId);
  const now = useNow(15_000);
  const open = approvals.filter((approval) => {
    const phase = states[approval.approval_id]?.phase;
    return (
      approval.kind === 'proposal' &&
      (phase === undefined || phase === 'failed' || phase === 'sending') &&
      expiryOf(approval, now) !== 'over'
    );
  });
  // Whoever has warnings, or a number to type, is ticked by a person and not by itself.
  const [ticks, setTicks] = useState<Readonly<Record<string, boolean>>>({});
  const isLocked = (approval: Approval) => numberToType(approval, available) !== null;
  const isTicked = (approval: Approval) =>
    !isLocked(approval) && (ticks[approval.approval_id] ?? isHarmless(approval));
  const chosen = open.filter(isTicked);
  const busy = open.some((approval) => states[approval.approval_id]?.phase === 'sending');
  const [first] = open;
  if (first === undefined || open.length < 2) return null;

  function decide(decision: 'approve' | 'reject'): void {
    if (first === undefined) return;
    void decisions.decideAll(
      first.thread_id,
      chosen.map((approval) => ({ approval, decision: { decision, args_hash: approval.args_hash } })),
    );
  }

  const sum = sumOf(chosen);
  return (
    <section className="batch" aria-label={`${open.length} approvals together`}>
      <h2>Or decide these {open.length} together</h2>
      <ul>
        {open.map((approval) => {
          const [worst] = approval.warnings;
          const { credits } = amountsOf(approval.facts);
          const locked = isLocked(approval);
          const grade: Grade = worst === undefined ? 'ok' : gradeOf(worst);
          return (
            <li key={approval.approval_id}>
              <label>
                <input
                  type="checkbox"
                  checked={isTicked(approval)}
                  disabled={busy || locked}
                  onChange={(event) => setTicks({ ...ticks, [approval.approval_id]: event.target.checked })}
                />
                <span className="batch-title">{approval.title}</span>
              </label>
              <span className="batch-credits">
                {credits === null || credits === 0 ? '' : `${credits.toLocaleString()} credits`}
              </span>
              <span className={`batch-check check-${grade}`}>
                <Icon name={GRADES[grade].icon} />
                {locked ? 'Decide on its card' : (worst?.message ?? GRADES.ok.word)}
              </span>
            </li>
          );
        })}
      </ul>
      <div className="decide-buttons">
        <button
          type="button"
          className="button plain danger"
          disabled={busy || chosen.length === 0}
          onClick={() => decide('reject')}
        >
          Reject {chosen.length}
        </button>
        <button
          type="button"
          className="button primary"
          disabled={busy || chosen.length === 0}
          onClick={() => decide('approve')}
        >
          {busy ? 'Working…' : `Approve ${chosen.length} of ${open.length}${sum === '' ? '' : ` (${sum})`}`}
        </button>
      </div>
    </section>
  );
}

function isHarmless(approval: Approval): boolean {
  return approval.warnings.every((warning) => warning.severity === 'low');
}
