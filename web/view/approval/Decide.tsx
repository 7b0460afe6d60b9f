/** The foot of a card that waits: what a person confirms first, and the buttons. Edit and Reject come back to where they were. */

import { type ReactNode, useId, useState } from 'react';
import type { Approval, DecisionKind } from '../../../src/client/events.ts';
import { actLabel, actVerb, needsTick, numberToType } from '../../logic/card.ts';
import { Icon } from '../Icon.tsx';
import { useFocusWhen, useModel, useStore } from '../model.tsx';
import { RejectForm } from './RejectForm.tsx';
import type { Edit } from './useEdit.ts';

/** What a person does with the card at the moment. */
export type Mode = 'view' | 'edit' | 'reject';

export interface DecideProps {
  /** As it stands with the edits. */
  approval: Approval;
  edit: Edit;
  mode: Mode;
  setMode(mode: Mode): void;
  /** The decision that is on its way. */
  sending: DecisionKind | null;
  decide(kind: DecisionKind, reason?: string): void;
}

export function Decide({ approval, edit, mode, setMode, sending, decide }: DecideProps) {
  const { store } = useModel();
  const available = useStore(store, (state) => state.credits);
  const [ticked, setTicked] = useState(false);
  const [typed, setTyped] = useState('');
  const [returning, setReturning] = useState<Mode | null>(null);
  const editButton = useFocusWhen<HTMLButtonElement>(returning === 'edit');
  const rejectButton = useFocusWhen<HTMLButtonElement>(returning === 'reject');
  const allowed = approval.allowed_decisions;
  const approvable = allowed.includes('approve');
  const toType = approvable ? numberToType(approval, available) : null;
  const toTick = approvable && needsTick(approval);
  const busy = sending !== null;
  const confirmed = toType === null || typed.replaceAll(/[.,\s]/g, '') === String(toType.number);
  const sound = !edit.changed || edit.phase === 'ready';
  const ready = approvable && sound && confirmed && (!toTick || ticked) && !busy;

  function leave(to: Mode): void {
    setReturning(mode);
    setMode(to);
  }

  if (mode === 'reject') {
    return (
      <RejectForm sending={busy} reject={(reason) => decide('reject', reason)} back={() => leave('view')} />
    );
  }
  return (
    <>
      {toTick ? (
        <label className="confirm">
          <input type="checkbox" checked={ticked} onChange={(event) => setTicked(event.target.checked)} />I
          have read the warnings above
        </label>
      ) : null}
      {toType === null ? null : (
        <NumberField number={toType.number} what={toType.what} typed={typed} onType={setTyped} />
      )}
      {approvable ? null : (
        <p className="card-fault">
          <Icon name="blocked" /> This cannot be approved as it stands.
        </p>
      )}
      <div className="decide-buttons">
        {allowed.includes('reject') && mode === 'view' ? (
          <button
            key="reject"
            ref={rejectButton}
            type="button"
            className="button plain danger"
            disabled={busy}
            onClick={() => leave('reject')}
          >
            Reject…
          </button>
        ) : null}
        {mode === 'edit' ? (
          <button
            key="discard"
            type="button"
            className="button"
            disabled={busy}
            onClick={() => leave('view')}
          >
            {edit.changed ? 'Discard edits' : 'Back'}
          </button>
        ) : allowed.includes('edit') ? (
          <button
            key="edit"
            ref={editButton}
            type="button"
            className="button"
            disabled={busy}
            onClick={() => leave('edit')}
          >
            <Icon name="pencil" /> Edit
          </button>
        ) : null}
        {approvable ? (
          <button
            key="approve"
            type="button"
            className="button primary"
            disabled={!ready}
            onClick={() => decide('approve')}
          >
            {approveWords(approval, edit, busy)}
          </button>
        ) : null}
      </div>
    </>
  );
}

function approveWords(approval: Approval, edit: Edit, busy: boolean): ReactNode {
  const { doing, withEdits } = actVerb(approval);
  if (busy) {
    return (
      <>
        <span className="spinner" /> {doing}
      </>
    );
  }
  if (!edit.changed) return actLabel(approval);
  return edit.phase === 'checking' ? 'Checking your edits…' : withEdits;
}

/** Whoever acts on many people, or spends much, says how many. */
function NumberField({
  number,
  what,
  typed,
  onType,
}: {
  number: number;
  what: string;
  typed: string;
  onType(text: string): void;
}) {
  const id = useId();
  return (
    <div className="confirm">
      <label htmlFor={id}>
        Type <strong>{number.toLocaleString()}</strong> to confirm the number of {what}
      </label>
      <input
        id={id}
        inputMode="numeric"
        autoComplete="off"
        value={typed}
        onChange={(event) => onType(event.target.value)}
      />
    </div>
  );
}
