/** Gives a conversation another title. */

import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import { useModel } from './model.tsx';

export function RenameDialog({ threadId, title, close }: { threadId: string; title: string; close(): void }) {
  const { conversations } = useModel();
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState(title);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);

  function save(event: FormEvent): void {
    event.preventDefault();
    const name = text.trim();
    if (name === '') return;
    if (name !== title) void conversations.rename(threadId, name);
    dialog.current?.close();
  }

  return (
    <dialog ref={dialog} aria-labelledby={`${id}-title`} onClose={close}>
      <form method="dialog" onSubmit={save}>
        <h2 id={`${id}-title`}>Rename the conversation</h2>
        <label htmlFor={id}>Title</label>
        <input id={id} value={text} maxLength={255} onChange={(event) => setText(event.target.value)} />
        <div className="decide-buttons">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={text.trim() === ''}>
            Rename
          </button>
        </div>
      </form>
    </dialog>
  );
}
