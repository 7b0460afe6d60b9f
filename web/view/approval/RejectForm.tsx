/** Says no, and why: the agent reads it. */

import { useId, useState } from 'react';
import { useFocusWhen } from '../model.tsx';

const REASONS = ['Wrong people', 'Wrong wording', 'Wrong time', 'Too expensive'];

export interface RejectFormProps {
  sending: boolean;
  reject(reason: string): void;
  back(): void;
}

export function RejectForm({ sending, reject, back }: RejectFormProps) {
  const id = useId();
  const [reason, setReason] = useState('');
  const field = useFocusWhen<HTMLTextAreaElement>(true);

  function choose(words: string): void {
    setReason((before) =>
      before.trim() === '' ? `${words}: ` : `${before.trim()}; ${words.toLowerCase()}: `,
    );
    field.current?.focus();
  }

  return (
    <div className="reject">
      <label htmlFor={id}>Why not? The agent reads this and can do better.</label>
      <div className="chips">
        {REASONS.map((words) => (
          <button key={words} type="button" className="chip" onClick={() => choose(words)}>
            {words}
          </button>
        ))}
      </div>
      <textarea
        id={id}
        ref={field}
        rows={3}
        maxLength={2_000}
        value={reason}
        onChange={(event) => setReason(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          event.preventDefault();
          back();
        }}
      />
      <div className="decide-buttons">
        <button key="back" type="button" className="button" disabled={sending} onClick={back}>
          Back
        </button>
        <button
          key="confirm-reject"
          type="button"
          className="button danger solid"
          disabled={sending}
          onClick={() => reject(reason.trim().replace(/[:;]$/, ''))}
        >
          {sending ? 'Rejecting…' : 'Reject, do nothing'}
        </button>
      </div>
    </div>
  );
}
