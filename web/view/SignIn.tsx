/** Asks for a token where the service wants one, above the page as it stands: nothing that was written is lost. */

import { type FormEvent, useId, useState } from 'react';
import { Mark } from './Icon.tsx';
import { useFocusWhen, useModel, useStore } from './model.tsx';

export function SignIn() {
  const { session } = useModel();
  const phase = useStore(session.store, (state) => state.phase);
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();
  const field = useFocusWhen<HTMLTextAreaElement>(true);

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    if (token.trim() === '' || busy) return;
    setBusy(true);
    setProblem(null);
    try {
      if (!(await session.give(token))) setProblem('The service does not accept this token.');
    } catch {
      setProblem('The service cannot be reached. Try again in a moment.');
    }
    setBusy(false);
  }

  return (
    <div className="sign-in" role="dialog" aria-modal="true" aria-labelledby={`${id}-title`}>
      <form onSubmit={(event) => void submit(event)}>
        <Mark />
        <h2 id={`${id}-title`}>{phase === 'expired' ? 'Your session has ended' : 'Sign in to Overture'}</h2>
        <p>
          {phase === 'expired'
            ? 'The token holds no more. What you wrote is kept; paste a new token to go on.'
            : 'Paste the token that your administrator or your application gave you.'}
        </p>
        <label htmlFor={id}>Token</label>
        <textarea
          id={id}
          ref={field}
          rows={4}
          spellCheck={false}
          autoComplete="off"
          value={token}
          aria-invalid={problem !== null}
          onChange={(event) => setToken(event.target.value)}
        />
        {problem === null ? null : (
          <p className="field-fault" role="alert">
            {problem}
          </p>
        )}
        <div className="decide-buttons">
          <button type="submit" className="button primary" disabled={busy || token.trim() === ''}>
            {busy ? 'Checking…' : 'Continue'}
          </button>
        </div>
      </form>
    </div>
  );
}
