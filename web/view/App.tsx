/** The page: the list at the left, a conversation or the inbox beside it, and what stands above both. */

import { useEffect, useRef, useState } from 'react';
import type { Thread } from '../state/thread.ts';
import { Announcer } from './Announcer.tsx';
import { Chat } from './Chat.tsx';
import { useKeptFocus } from './focus.ts';
import { InboxPage } from './Inbox.tsx';
import { ListButton } from './ListButton.tsx';
import { useModel, useStore } from './model.tsx';
import { Sidebar } from './Sidebar.tsx';
import { SignIn } from './SignIn.tsx';
import { ThreadMenu } from './ThreadMenu.tsx';
import { showTurn } from './turn-link.ts';

export function App() {
  const model = useModel();
  const phase = useStore(model.session.store, (state) => state.phase);
  const place = useStore(model.router.store, (state) => state.place);
  const thread = useStore(model.store, (state) => state.thread);
  const [listOpen, setListOpen] = useState(false);
  const closed = phase === 'needed' || phase === 'expired';
  const openList = () => setListOpen(true);
  const page = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  useKeptFocus(page);
  const turnId = useStore(model.router.store, (state) => state.turnId);
  useEffect(() => (turnId === null ? undefined : showTurn(turnId)), [turnId]);

  // On a phone the list lies over the page: Escape leaves it, and the focus goes where it came from.
  useEffect(() => {
    if (!listOpen) return;
    const root = frame.current?.getRootNode() as Document | ShadowRoot | undefined;
    const before = root?.activeElement as HTMLElement | null | undefined;
    frame.current?.querySelector<HTMLElement>('.close-list')?.focus();
    const leave = (event: KeyboardEvent) => {
      if (event.key === 'Escape') setListOpen(false);
    };
    document.addEventListener('keydown', leave);
    return () => {
      document.removeEventListener('keydown', leave);
      before?.focus();
    };
  }, [listOpen]);

  return (
    <div ref={page} className="page" data-focus=".composer textarea:not(:disabled), h1[tabindex]">
      <div ref={frame} className={listOpen ? 'frame list-open' : 'frame'} inert={closed}>
        <Sidebar close={() => setListOpen(false)} />
        <button
          type="button"
          className="shade"
          aria-label="Close the list"
          tabIndex={-1}
          onClick={() => setListOpen(false)}
        />
        {place.at === 'approvals' ? (
          <InboxPage openList={openList} />
        ) : (
          <Chat
            key={thread.serial}
            thread={thread}
            list={<ListButton open={openList} />}
            menu={<CurrentMenu thread={thread} />}
          />
        )}
      </div>
      {closed ? <SignIn /> : null}
      <Announcer />
    </div>
  );
}

/** The menu of the conversation that is open. */
function CurrentMenu({ thread }: { thread: Thread }) {
  const model = useModel();
  const threadId = useStore(thread.store, (state) => state.threadId);
  const { title, archived } = useStore(thread.store, (state) => state.conversation);
  const listed = useStore(model.conversations.store, ({ items }) =>
    items.find((item) => item.thread_id === threadId),
  );
  if (threadId === null) return null;
  return (
    <ThreadMenu
      threadId={threadId}
      title={title ?? listed?.title ?? ''}
      archived={archived}
      label="Conversation"
    />
  );
}
