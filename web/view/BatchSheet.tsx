/** Several cards of one turn on one sheet: tick, then decide together. It touches this turn and nothing else. */

import { useState } from 'react';
import type { Approval } from '../../src/client/events.ts';
import { amountsOf, expiryOf, gradeOf, numberToType } from '../logic/card.ts';
import { sumOf } from './ApprovalCard.tsx';
import { Icon } from './Icon.tsx';
import { useModel, useNow, useStore } from './model.tsx';

export function BatchSheet({ approvals }: { approvals: readonly Approval[] }) {
  const { decisions } = useModel();
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
  const isTicked = (approval: Approval) => ticks[approval.approval_id] ?? isHarmless(approval);
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
    <section className="batch" aria-label={`${open.length} approvals of this turn`}>
      <h2>{open.length} approvals wait in this turn</h2>
      <ul>
        {open.map((approval) => {
          const [worst] = approval.warnings;
          const { credits } = amountsOf(approval.facts);
          const locked = numberToType(approval) !== null;
          return (
            <li key={approval.approval_id}>
              <label>
                <input
                  type="checkbox"
                  checked={!locked && isTicked(approval)}
                  disabled={busy || locked}
                  onChange={(event) => setTicks({ ...ticks, [approval.approval_id]: event.target.checked })}
                />
                <span className="batch-title">{approval.title}</span>
              </label>
              <span className="batch-credits">
                {credits === null || credits === 0 ? '' : `${credits} credits`}
              </span>
              <span className={`batch-check check-${worst === undefined ? 'ok' : gradeOf(worst)}`}>
                <Icon name={worst === undefined ? 'check' : 'warning'} />
                {locked ? 'Decide on its card' : (worst?.message ?? 'OK')}
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
          Reject {chosen.length} ticked
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
  return numberToType(approval) === null && approval.warnings.every((warning) => warning.severity === 'low');
}
