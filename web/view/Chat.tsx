/** One conversation: its title, its messages, and where one writes. */

import { type DragEvent, type ReactNode, useEffect, useState } from 'react';
import { pendingApprovals } from '../../src/client/conversation.ts';
import type { Thread } from '../state/thread.ts';
import { Banner, Signs } from './Banner.tsx';
import { Composer } from './Composer.tsx';
import { Icon } from './Icon.tsx';
import { Messages } from './Messages.tsx';
import { useModel, useStore, useSurroundings } from './model.tsx';
import { Welcome } from './Welcome.tsx';

export interface ChatProps {
  thread: Thread;
  /** What stands at the left and at the right of the title. */
  list?: ReactNode;
  menu?: ReactNode;
}

export function Chat({ thread, list, menu }: ChatProps) {
  const model = useModel();
  // Somebody else's page has a main part and a title of its own.
  const { kind } = useSurroundings();
  const [Frame, Title] = kind === 'page' ? (['main', 'h1'] as const) : (['div', 'h3'] as const);
  const state = useStore(thread.store, (all) => all);
  const [given, setGiven] = useState<{ text: string } | null>(null);
  const [file, setFile] = useState<{ file: File } | null>(null);
  const [dropping, setDropping] = useState(false);
  const { conversation, sending, phase, threadId } = state;
  const { archived } = conversation;
  const listed = useStore(model.conversations.store, ({ items }) =>
    items.find((item) => item.thread_id === threadId),
  );
  const title = conversation.title ?? listed?.title ?? sending?.text ?? 'New conversation';
  const { status } = conversation.run;
  const running = status === 'running' || status === 'recovering';
  const waiting = pendingApprovals(conversation).length;
  const empty = phase === 'new' && sending === null;

  // A file may be dropped anywhere on the conversation; elsewhere the browser would leave our page for it.
  useEffect(() => {
    if (kind === 'widget') return;
    const refuse = (event: globalThis.DragEvent) => event.preventDefault();
    document.addEventListener('dragover', refuse);
    document.addEventListener('drop', refuse);
    return () => {
      document.removeEventListener('dragover', refuse);
      document.removeEventListener('drop', refuse);
    };
  }, [kind]);

  function drop(event: DragEvent): void {
    event.preventDefault();
    setDropping(false);
    const [first] = event.dataTransfer.files;
    if (first !== undefined) setFile({ file: first });
  }

  return (
    <Frame
      className="chat"
      data-focus=".composer textarea:not(:disabled), .archived-note button"
      onDragEnter={(event) => {
        if (event.dataTransfer.types.includes('Files')) setDropping(true);
      }}
      onDragLeave={(event) => {
        if (event.currentTarget === event.target) setDropping(false);
      }}
      onDrop={drop}
    >
      <header className="chat-head">
        {list}
        <Title title={title}>{title}</Title>
        {archived ? <span className="tag tag-quiet">Archived</span> : null}
        <Signs />
        {menu}
      </header>
      <Banner />
      {phase === 'missing' ? (
        <Missing />
      ) : empty ? (
        <Welcome onPick={(text) => setGiven({ text })} onFile={(picked) => setFile({ file: picked })} />
      ) : phase === 'loading' ? (
        <div className="messages">
          <p className="loading">
            <span className="spinner" /> Opening the conversation…
          </p>
        </div>
      ) : phase === 'failed' ? (
        <div className="messages">
          <p className="loading">
            The conversation could not be read.
            <button type="button" className="button small" onClick={thread.catchUp}>
              <Icon name="retry" /> Try again
            </button>
          </p>
        </div>
      ) : (
        <Messages thread={thread} state={state} onEdit={(text) => setGiven({ text })} />
      )}
      {phase === 'missing' ? null : (
        <Composer
          threadId={threadId}
          busy={sending !== null || running}
          stoppable={running}
          stopping={state.stopping !== null && state.stopping === conversation.run.turnId}
          waiting={waiting}
          archived={archived}
          given={given}
          file={file}
        />
      )}
      {archived && threadId !== null ? (
        <p className="archived-note">
          <button
            type="button"
            className="button small"
            onClick={() => void model.conversations.restore(threadId)}
          >
            <Icon name="restore" /> Restore the conversation
          </button>
        </p>
      ) : null}
      {dropping ? (
        <div className="drop-sign" aria-hidden="true">
          <Icon name="file" /> Drop the CSV to look into it
        </div>
      ) : null}
    </Frame>
  );
}

function Missing() {
  const { router } = useModel();
  return (
    <div className="messages">
      <div className="loading">
        <p>There is no such conversation here. It may belong to somebody else of your workspace.</p>
        <p>
          <button type="button" className="button" onClick={() => router.go('/')}>
            New chat
          </button>
        </p>
      </div>
    </div>
  );
}
